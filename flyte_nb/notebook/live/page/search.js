// Finding nodes by name, type or problem, also those inside what is closed.

function searchBox(stage, model) {
  const box = made("div", "fnb-search");
  const field = made("input");
  field.type = "search";
  field.placeholder = "Find a node, a type, a problem";
  field.setAttribute("aria-label", "Find nodes by name, type or problem; Enter goes to the next");
  field.spellcheck = false;
  const count = made("span", "fnb-soft");
  count.setAttribute("aria-live", "polite");
  box.append(field, count);
  let hits = [];
  let at = -1;

  const say = () => {
    if (!field.value.trim()) count.textContent = "";
    else if (!hits.length) count.textContent = "nothing found";
    else {
      const inside = hits.filter(([id, , shown]) => shown !== id).length;
      const place = at < 0 ? `${hits.length} found` : `${at + 1} of ${hits.length}`;
      count.textContent = inside ? `${place}, ${inside} in what is closed` : place;
    }
  };
  const mark = () => {
    const shown = new Set(hits.map(([, , visible]) => visible));
    for (const [id, { group }] of stage.nodes) group.classList.toggle("fnb-hit", shown.has(id));
    stage.svg?.classList.toggle("fnb-searching", hits.length > 0);
  };
  const find = () => {
    const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
    const known = model.get("index");
    hits = words.length ? known.filter(([, text]) => words.every((word) => text.includes(word))) : [];
  };
  const go = (step) => {
    if (!hits.length) return;
    at = at < 0 ? (step > 0 ? 0 : hits.length - 1) : (at + step + hits.length) % hits.length;
    const [id, , visible] = hits[at];
    if (visible === id) stage.select(id, { reveal: true });
    else stage.ask({ find: id });
    say();
  };
  field.addEventListener("input", () => {
    find();
    at = -1;
    mark();
    say();
  });
  field.addEventListener("keydown", (event) => {
    if (event.key === "Enter") go(event.shiftKey ? -1 : 1);
    else if (event.key === "Escape") {
      if (field.value) {
        field.value = "";
        find();
        mark();
        say();
      }
      stage.host.focus({ preventScroll: true });
    } else return event.stopPropagation();
    event.preventDefault();
    event.stopPropagation();
  });
  return {
    box,
    open() {
      box.hidden = false;
      field.focus();
      field.select();
      return true;
    },
    // Another drawing: what was hidden may be there now.
    again() {
      const id = hits[at]?.[0];
      find();
      at = hits.findIndex((hit) => hit[0] === id);
      mark();
      say();
    },
  };
}
