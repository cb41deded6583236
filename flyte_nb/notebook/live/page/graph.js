// The graph in the page: it shows a drawing that Python made, recolours nodes, pans, zooms, searches, selects.
// It never lays anything out. It is the last file of the module that `graph_widget.script` joins, so it uses
// functions of the other files without importing them.
//
// Traits of the model (defined in `graph_widget.py`):
//   svg       the drawing
//   states    {node: [phase, subtitle]} of all nodes
//   looks     {phase: [path of the mark, word]}
//   label     the accessible name of the stage
//   selected  a node's id, or ""
//   kept      the node that keeps its place on the screen when `svg` changes
//   anchor    the class of the static picture whose place the graph takes; "" in the live tracker
//   facts     {node: its details} of all nodes that are drawn
//   index     [[node, words, the drawn node that it is or is in]] of all nodes, for the search
//   problems  what keeps the workflow from compiling
//   overview  lines to show while nothing is selected
//   can       {switch: whether it is on}; a switch that is missing cannot be used
//
// Messages to Python ask for another drawing: {toggle: id}, {find: id}, {all: true or false}, {switch: name}.
// {left: true} says that a person left the graph. Messages from Python: {delta: states that changed}, and
// {notice: text}, which also answers a request.

const PATIENCE_MS = 4000; // until a person hears that the kernel does not answer; a large layout takes a second or two
const CLASSES = "fnb-card fnb-explorer";

// Return a stage: the drawing with everything around it, and the functions that act on it.
//
// `explore` adds the toolbar and the details (`%flyte graph`). In the live tracker, widgets of Python stand
// beside the graph instead.

function stageOf(model, explore) {
  const root = made("div", explore ? CLASSES : "fnb-watched");
  const host = made("div", "fnb-stage");
  host.tabIndex = 0;
  // "application" makes a screen reader pass the arrow keys on to the graph.
  host.setAttribute("role", "application");
  host.setAttribute("aria-label", model.get("label"));
  // JupyterLab's own attribute: its shortcuts (d d deletes a cell) do not apply inside.
  root.dataset.lmSuppressShortcuts = "true";
  // An invisible text that a screen reader reads when it changes: the title of the selected node.
  const spoken = made("div", "fnb-unseen");
  spoken.setAttribute("aria-live", "polite");
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
    // Ask Python for another drawing. A busy kernel answers later, one that is gone never.
    ask(message) {
      model.send(message);
      clearTimeout(waiting);
      waiting = setTimeout(() => {
        stage.say("The kernel does not answer. If it is busy, wait; if it has ended, run the cell again.");
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
    // Select a node; one inside a closed node is opened first, which needs another drawing.
    find(id) {
      if (stage.nodes.has(id)) stage.select(id, { reveal: true });
      else stage.ask({ find: id });
    },
    toggle(id) {
      if (!model.get("facts")[id]?.opens) return;
      stage.select(id);
      stage.ask({ toggle: id });
    },
    // Return whether the switch exists here; a key that means nothing is left to the page.
    switch(name) {
      if (!(name in model.get("can"))) return false;
      stage.ask({ switch: name });
      return true;
    },
    search: () => search.open(),
    nextProblem() {
      // Problems of the workflow as a whole have no node.
      const places = model.get("problems").map((problem) => problem.node).filter(Boolean);
      if (!places.length) return false;
      stage.find(places[(places.indexOf(stage.selected()) + 1) % places.length]);
      return true;
    },
    // Show what is selected: on the node, its arrows, in the details, and to a screen reader.
    mark() {
      const id = stage.selected();
      for (const [other, { group }] of stage.nodes) {
        group.classList.toggle("fnb-selected", other === id);
      }
      for (const arrow of stage.svg?.querySelectorAll(".e") || []) {
        arrow.classList.toggle("fnb-near", Boolean(id) && (arrow.dataset.s === id || arrow.dataset.t === id));
      }
      spoken.textContent = stage.nodes.get(id)?.title?.textContent || "";
      side?.show();
    },
    recolour: (delta) => brush.paint(delta),
    // Replace the drawing by the model's. The order matters: the old places are read before the old drawing
    // goes, the new camera needs the new one, and recolouring needs to know what can be seen.
    draw() {
      const kept = model.get("kept");
      const before = stage.view?.kept(stage.nodes.get(kept)?.group);
      stage.svg?.remove();
      host.insertAdjacentHTML("afterbegin", model.get("svg"));
      stage.svg = host.querySelector("svg");
      if (!stage.svg) return;
      // As an "img" the nodes inside would be invisible to a screen reader.
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
      if ("notice" in message) {
        stage.answered();
        stage.say(message.notice);
      }
    },
    onDrawing() {
      stage.answered();
      stage.draw();
    },
    // Let go of what outlives the elements: the timer, the observer, the listener on the window.
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
    root.append(tools.bar, note, body, spoken);
  } else {
    // Without a toolbar the search appears over the graph when somebody asks for it.
    search.box.hidden = true;
    root.append(search.box, host, spoken);
  }
  host.append(zoomButtons(stage));
  listenToPointer(host, stage);
  const deafen = listenToKeys(host, stage);
  stage.draw();
  const watcher = new ResizeObserver(() => {
    if (!host.clientWidth) return; // hidden, e.g. in another tab: the view is kept for when it is back
    stage.view?.resized();
  });
  watcher.observe(host);
  return stage;
}

// Pass changes of the model on to the stage. Return a function that stops that and closes the stage.
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

// Take the place of the static picture. Return a function that gives the place back.
//
// The picture is ordinary HTML in the output; it is what the notebook saves. It is hidden, not removed, and
// shown again when the widget's model goes (with the kernel, or the cell's next run). The widget has no view
// of its own in the output: a view would be saved as a widget, and reopening the notebook would show an error
// in its place.
//
// JupyterLab removes and makes outputs as it likes: while scrolling, for a second view of the notebook, and
// when the picture is written again. So the page is watched, and the stage moves to wherever the picture is.
function takePlace(model) {
  let stage = null;
  let end = () => {};
  const take = () => {
    // Run at every change of the page, so the common case, nothing to do, has to be quick.
    const found = document.querySelector(`.${model.get("anchor")}:not(.fnb-taken)`);
    // A second picture of the same graph (another view of the notebook) stays a picture: there is one stage.
    if (!found || (stage?.root.isConnected && stage.root.parentElement.classList.contains(model.get("anchor")))) return;
    // Made late: a stage measures texts and sizes, so its place has to exist.
    if (!stage) {
      stage = stageOf(model, true);
      end = follow(model, stage);
      // Then Python writes the static picture as the graph was left. Not at every change: writing an output
      // replaces the elements a person is just using.
      const leave = () => model.send({ left: true });
      stage.root.addEventListener("pointerleave", leave);
      stage.root.addEventListener("focusout", (event) => {
        if (!stage.root.contains(event.relatedTarget)) leave();
      });
    }
    // Moving an element takes the focus from it; a person who types in the search would lose it.
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

// What anywidget calls: `initialize` once for each model, `render` for each view of it.
export default {
  initialize({ model }) {
    // Changes come as messages, not by the trait. A view that is made later reads the trait, so it is kept
    // complete here, once, however many views there are.
    model.on("msg:custom", (message) => message.delta && Object.assign(model.get("states"), message.delta));
    return model.get("anchor") ? takePlace(model) : undefined;
  },
  render({ model, el }) {
    const stage = stageOf(model, false);
    el.append(stage.root);
    return follow(model, stage);
  },
};
