// The graph on the page: shows a drawing made in Python, recolours its nodes, pans, zooms, finds, selects.
// It never lays anything out. Traits: `svg`, the drawing; `states`, {node: [phase, subtitle]}, of which a
// custom message carries only what changed; `selected`, a node's id or ""; `facts`, `index`, `problems`,
// `overview` and `can`, see `explorer.py`; `kept`, the node that stays where it is when `svg` changes;
// `anchor`, the class of the picture at rest whose place the graph takes. A message to Python asks for
// what needs another drawing.

const PATIENCE_MS = 4000;
const CLASSES = "fnb-card fnb-explorer";

function stageOf(model, explore) {
  const root = made("div", explore ? CLASSES : "fnb-watched");
  const host = made("div", "fnb-stage");
  host.tabIndex = 0;
  host.setAttribute("role", "application");
  host.setAttribute("aria-label", model.get("label"));
  root.dataset.lmSuppressShortcuts = "true";
  const said = made("div", "fnb-unseen");
  said.setAttribute("aria-live", "polite");
  const note = made("div", "fnb-note");
  note.setAttribute("role", "status");
  note.hidden = true;
  let waiting = 0;

  const stage = {
    root, host, svg: null, nodes: new Map(), view: null,
    selected: () => model.get("selected"),
    say(text, shown = true) {
      note.textContent = text;
      note.hidden = !text || !shown;
    },
    ask(message) {
      model.send(message);
      clearTimeout(waiting);
      waiting = setTimeout(() => {
        stage.say("The kernel is busy, or gone: then run the cell again.");
      }, PATIENCE_MS);
    },
    answered() {
      clearTimeout(waiting);
      stage.say("");
    },
    select(id, { reveal = false } = {}) {
      model.set("selected", id);
      model.save_changes();
      stage.mark();
      const group = stage.nodes.get(id)?.group;
      if (reveal && group) stage.view.reveal(group);
    },
    find(id) {
      if (stage.nodes.has(id)) stage.select(id, { reveal: true });
      else stage.ask({ find: id });
    },
    toggle(id) {
      if (!model.get("facts")[id]?.opens) return;
      stage.select(id);
      stage.ask({ toggle: id });
    },
    switch(name) {
      if (!(name in model.get("can"))) return false;
      stage.ask({ switch: name });
      return true;
    },
    search: () => search.open(),
    nextProblem() {
      const places = model.get("problems").map((problem) => problem.node).filter(Boolean);
      if (!places.length) return false;
      stage.find(places[(places.indexOf(stage.selected()) + 1) % places.length]);
      return true;
    },
    mark() {
      const id = stage.selected();
      for (const [other, { group }] of stage.nodes) {
        group.classList.toggle("fnb-selected", other === id);
      }
      for (const arrow of stage.svg?.querySelectorAll(".e") || []) {
        arrow.classList.toggle("fnb-near", Boolean(id) && (arrow.dataset.s === id || arrow.dataset.t === id));
      }
      said.textContent = stage.nodes.get(id)?.title?.textContent || "";
      side?.show();
    },
    recolour: (delta) => brush.paint(delta),
    // Put the drawing in place of the one before.
    draw() {
      const kept = model.get("kept");
      const before = stage.view?.kept(stage.nodes.get(kept)?.group);
      stage.svg?.remove();
      host.insertAdjacentHTML("afterbegin", model.get("svg"));
      stage.svg = host.querySelector("svg");
      if (!stage.svg) return;
      stage.svg.removeAttribute("role");
      stage.nodes = reading(stage.svg);
      brush.onto(stage.nodes);
      const group = stage.nodes.get(kept)?.group;
      if (before) before.to = placeOf(group);
      stage.view = camera(stage.svg, host, before, (view) => brush.look(view, stage.svg));
      if (before && group) stage.view.reveal(group);
      stage.recolour(model.get("states"));
      tools?.show();
      search.again();
      stage.mark();
    },
    onMessage(message) {
      if (message.delta) stage.recolour(message.delta);
      if ("said" in message) {
        stage.answered();
        stage.say(message.said);
      }
    },
    onDrawing() {
      stage.answered();
      stage.draw();
    },
    close() {
      clearTimeout(waiting);
      watcher.disconnect();
      deafen();
    },
  };
  const brush = painter(model.get("looks"));
  const search = searchBox(stage, model);
  const tools = explore ? toolbar(stage, model, search) : null;
  const side = explore ? panel(stage, model) : null;
  if (explore) {
    const body = made("div", model.get("can").stacked ? "fnb-body fnb-below" : "fnb-body");
    body.append(host, side.side);
    root.append(tools.bar, note, body, said);
  } else {
    search.box.hidden = true;
    root.append(search.box, host, said);
  }
  host.append(zoomButtons(stage));
  listenToPointer(host, stage);
  const deafen = listenToKeys(host, stage);
  stage.draw();
  const watcher = new ResizeObserver(() => {
    if (!host.clientWidth) return;
    stage.view?.resized();
  });
  watcher.observe(host);
  return stage;
}

// Follow the model; the result ends the stage.
function follow(model, stage) {
  const on = {
    "msg:custom": stage.onMessage,
    "change:states": () => stage.recolour(model.get("states")),
    "change:selected": stage.mark,
    "change:svg": stage.onDrawing,
  };
  for (const [name, act] of Object.entries(on)) model.on(name, act);
  return () => {
    for (const [name, act] of Object.entries(on)) model.off(name, act);
    stage.close();
  };
}

// Take the place of the picture at rest, wherever the page shows it and as often as it does. What is
// saved in the notebook is that picture; when the kernel is gone the page shows it again.
function takePlace(model) {
  let stage = null;
  let end = () => {};
  const take = () => {
    const found = document.querySelector(`.${model.get("anchor")}:not(.fnb-taken)`);
    if (!found || (stage?.root.isConnected && stage.root.parentElement.classList.contains(model.get("anchor")))) return;
    if (!stage) {
      stage = stageOf(model, true);
      end = follow(model, stage);
      const leave = () => model.send({ left: true });
      stage.root.addEventListener("pointerleave", leave);
      stage.root.addEventListener("focusout", (event) => {
        if (!stage.root.contains(event.relatedTarget)) leave();
      });
    }
    const held = stage.root.contains(document.activeElement) ? document.activeElement : null;
    found.classList.add("fnb-taken");
    for (const child of found.children) child.style.display = "none";
    found.append(stage.root);
    held?.focus({ preventScroll: true });
  };
  const watcher = new MutationObserver(take);
  watcher.observe(document.body, { childList: true, subtree: true });
  model.on("change:anchor", take);
  take();
  return () => {
    watcher.disconnect();
    end();
    const place = stage?.root.parentElement;
    stage?.root.remove();
    if (!place) return;
    place.classList.remove("fnb-taken");
    for (const child of place.children) child.style.display = "";
  };
}

export default {
  initialize({ model }) {
    model.on("msg:custom", (message) => message.delta && Object.assign(model.get("states"), message.delta));
    return model.get("anchor") ? takePlace(model) : undefined;
  },
  render({ model, el }) {
    const stage = stageOf(model, false);
    el.append(stage.root);
    return follow(model, stage);
  },
};
