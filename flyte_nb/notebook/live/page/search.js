// The search: find nodes by name, type or problem, also those inside closed nodes.
//
// Python sends the words of all nodes once, so searching needs no kernel. Only going to a node inside a closed
// one does, because that needs another drawing.

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
  let hits = []; // [id, words, the drawn node that it is or is in]
  let at = -1; // which hit is selected; -1 before the first Enter

  // Say how many were found, and which one is selected.
  const say = () => {
    if (!field.value.trim()) count.textContent = "";
    else if (!hits.length) count.textContent = "nothing found";
    else {
      const inside = hits.filter(([id, , shown]) => shown !== id).length;
      const place = at < 0 ? `${hits.length} found` : `${at + 1} of ${hits.length}`;
      count.textContent = inside ? `${place}, ${inside} in what is closed` : place;
    }
  };
  // Mark what was found; a closed node is marked when something inside it was found.
  const mark = () => {
    const shown = new Set(hits.map(([, , visible]) => visible));
    for (const [id, { group }] of stage.nodes) group.classList.toggle("fnb-hit", shown.has(id));
    stage.svg?.classList.toggle("fnb-searching", hits.length > 0);
  };
  const find = () => {
    // Each word has to be found, in any order: "fit depth 5".
    const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
    const known = model.get("index");
    hits = words.length ? known.filter(([, text]) => words.every((word) => text.includes(word))) : [];
  };
  // Go to the next hit (1) or the one before (-1), around the ends.
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
      // The first Escape ends the search. The focus is back on the stage, where a second one deselects.
      if (field.value) {
        field.value = "";
        find();
        mark();
        say();
      }
      stage.host.focus({ preventScroll: true });
    } else return event.stopPropagation(); // typed text is not for the notebook's shortcuts
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
    // Search again in a new drawing: nodes that were inside a closed one may be drawn now. The selected hit
    // stays the selected one.
    again() {
      const id = hits[at]?.[0];
      find();
      at = hits.findIndex((hit) => hit[0] === id);
      mark();
      say();
    },
  };
}
