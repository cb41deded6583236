// What stands around the stage of `%flyte graph`: the toolbar above it, and the details beside or below it.

// Return a list of name and text.
function listOf(rows) {
  const list = made("dl", "fnb-facts");
  for (const [name, text] of rows) list.append(made("dt", "", name), made("dd", "", text));
  return list;
}

// Return a table of inputs or outputs: name, type, and where an input comes from. Nothing for no rows.
function variables(title, rows) {
  if (!rows.length) return [];
  const table = made("table", "fnb-vars");
  const head = made("caption", "", title);
  const body = made("tbody");
  for (const [name, type, from] of rows) {
    const row = made("tr");
    const cell = made("td");
    cell.append(made("b", "", name), " ", made("code", "", type));
    if (from) cell.append(made("div", "fnb-soft", from));
    row.append(cell);
    body.append(row);
  }
  table.append(head, body);
  return [table];
}

// Return a problem as a button that selects the problem's node. The number is the one on the graph.
function problemItem(stage, problem, chosen) {
  const item = button("", `Problem ${problem.number}: ${problem.head}`, () => {
    if (problem.node) stage.find(problem.node);
  });
  item.className = "fnb-problem";
  if (chosen) item.setAttribute("aria-current", "true");
  const head = made("div");
  head.append(made("b", "", `${problem.number} · ${problem.head}`), " ", made("span", "fnb-mono", problem.where));
  item.append(head, made("div", "", problem.text));
  if (problem.hint) item.append(made("div", "fnb-soft", problem.hint));
  return item;
}

// Return everything about one node, problems first: they are what a person is looking for.
function details(stage, id, facts, problems) {
  const parts = [];
  const head = made("div", "fnb-side-head");
  head.append(made("b", "", facts.title), " ", made("span", "fnb-soft", facts.what));
  parts.push(head);
  if (facts.change) parts.push(made("div", "fnb-change", facts.change));
  for (const problem of problems) {
    if (problem.node === id) parts.push(problemItem(stage, problem, true));
  }
  if (facts.rows.length) parts.push(listOf(facts.rows));
  parts.push(...variables("inputs", facts.inputs), ...variables("outputs", facts.outputs));
  if (facts.opens) {
    const word = facts.opens === "open" ? "Close" : "Open";
    const act = button(`${word} it`, `${word} ${facts.title} (Enter)`, () => stage.toggle(id));
    act.className = "fnb-plain";
    parts.push(act);
  }
  return parts;
}

// Return the panel: details of the selected node; else all problems and an overview.
function panel(stage, model) {
  const side = made("div", "fnb-details");
  side.tabIndex = 0; // so that the keyboard can scroll it
  side.setAttribute("role", "region");
  side.setAttribute("aria-label", "Details");
  return {
    side,
    show() {
      const id = stage.selected();
      const facts = model.get("facts")[id];
      const problems = model.get("problems");
      const lists = facts
        ? details(stage, id, facts, problems)
        : [
            ...problems.map((problem) => problemItem(stage, problem, false)),
            ...model.get("overview").map((line) => made("div", "fnb-soft", line)),
          ];
      side.replaceChildren(...lists);
      side.scrollTop = 0;
      // Below the stage the panel only grows from node to node. With a height of its own for each node, the
      // rest of the notebook would jump at each click.
      const below = side.parentElement?.classList.contains("fnb-below");
      side.style.minHeight = below && facts ? `${side.offsetHeight}px` : "";
    },
  };
}

const KEYS = "arrows move · Enter opens · / finds · + − 0 zoom · p problem · t types · d compare · Esc lets go";

// Return the row above the stage: the search, and what can be switched on and off.
function toolbar(stage, model, search) {
  const bar = made("div", "fnb-tools");
  bar.append(search.box);
  const switches = {};
  for (const [name, label, title] of [
    ["types", "Types", "Show types on the arrows (t)"],
    ["diff", "Compare", "Compare with what is registered (d)"],
  ]) {
    const toggle = button(label, title, () => stage.switch(name), "fnb-plain");
    switches[name] = toggle;
    bar.append(toggle);
  }
  const all = [
    button("Open all", "Open everything that can be opened", () => stage.ask({ all: true }), "fnb-plain"),
    button("Close all", "Close everything", () => stage.ask({ all: false }), "fnb-plain"),
  ];
  const keys = made("span", "fnb-soft fnb-keys", "?");
  keys.title = KEYS;
  keys.tabIndex = 0;
  keys.setAttribute("role", "note");
  keys.setAttribute("aria-label", `Keys: ${KEYS}`);
  bar.append(...all, keys);
  return {
    bar,
    show() {
      // Python decides what is possible: a workflow that does not compile cannot be compared.
      const can = model.get("can");
      for (const [name, toggle] of Object.entries(switches)) {
        toggle.hidden = !(name in can);
        toggle.setAttribute("aria-pressed", String(Boolean(can[name])));
      }
      for (const one of all) one.hidden = !can.opens;
    },
  };
}
