// What the pointer and the keys do on the stage, and small functions that make elements.

// Return the nearest node in the direction of an arrow key; `from` itself when there is none.
function neighbour(groups, from, key) {
  const [dx, dy] = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowDown: [0, 1], ArrowUp: [0, -1] }[key];
  const centre = (group) => {
    const box = group.getBoundingClientRect();
    // Of a frame it is the middle of its head: its own middle is somewhere among the nodes inside.
    return [box.x + box.width / 2, box.y + Math.min(box.height, 44) / 2];
  };
  if (!from) return groups[0];
  const [x, y] = centre(from);
  let best = null;
  let least = Infinity;
  for (const group of groups) {
    if (group === from) continue;
    const [gx, gy] = centre(group);
    const along = (gx - x) * dx + (gy - y) * dy;
    const across = Math.abs((gx - x) * dy) + Math.abs((gy - y) * dx);
    // Straight ahead counts more than near: a node beside the way costs twice its distance from it.
    if (along > 2 && along + 2 * across < least) {
      least = along + 2 * across;
      best = group;
    }
  }
  return best || from;
}

// Pan, select and open with the pointer. The listeners are on the host, which stays; `stage.view` and the
// nodes are looked up at each event, because every drawing has new ones.
function listenToPointer(host, stage) {
  let held = null; // where the pointer was last, while the button is down
  let moved = false; // whether this press became a drag; then its click selects nothing
  host.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || event.target.closest(".fnb-zoom")) return;
    held = { x: event.clientX, y: event.clientY };
    moved = false;
  });
  host.addEventListener("pointermove", (event) => {
    if (!held) return;
    const dx = event.clientX - held.x;
    const dy = event.clientY - held.y;
    // A hand trembles: less than 4 px is a click.
    if (!moved && Math.hypot(dx, dy) < 4) return;
    // Captured only now: a captured pointer sends its click to the host, and no node would be selected.
    if (!moved) host.setPointerCapture(event.pointerId);
    moved = true;
    const scale = stage.view.scale();
    stage.view.pan(dx * scale, dy * scale);
    held = { x: event.clientX, y: event.clientY };
  });
  const release = () => {
    held = null;
  };
  host.addEventListener("pointerup", release);
  host.addEventListener("pointercancel", release);
  host.addEventListener("click", (event) => {
    if (moved || !event.target.closest("svg")) return;
    const group = event.target.closest('g[id^="node-"]');
    // ".o" is the small button with + or − on a node.
    if (group && event.target.closest(".o")) stage.toggle(idOf(group));
    else stage.select(group ? idOf(group) : "");
  });
  host.addEventListener("dblclick", (event) => {
    const group = event.target.closest('g[id^="node-"]');
    if (group && !event.target.closest(".o")) stage.toggle(idOf(group));
  });
  // Zoom with Ctrl or a pinch only (browsers send a pinch as a wheel with Ctrl): a plain wheel scrolls the
  // notebook, and must not get caught in a graph.
  host.addEventListener(
    "wheel",
    (event) => {
      if (!event.ctrlKey && !event.metaKey) return;
      event.preventDefault();
      // A wheel sends steps of 100 or so and a pinch of 1 to 10; the limit keeps one step of a wheel small.
      stage.view.zoom(Math.exp(clamp(event.deltaY, -60, 60) * 0.005), stage.view.point(event));
    },
    { passive: false }, // else `preventDefault` is ignored, and the browser zooms the page as well
  );
}

// Handle keys while the stage has the focus. Return a function that stops that.
//
// The listener is on the window and in the capture phase, the first place that an event reaches. Notebook and
// JupyterLab listen on the document, and would take "d" or the arrows before the stage saw them.
function listenToKeys(host, stage) {
  const listen = (event) => {
    // Not for buttons and the search field inside the stage: they have keys of their own.
    if (event.target !== host && !(host.contains(event.target) && event.target.closest("svg"))) return;
    const find = event.key.toLowerCase() === "f" && (event.ctrlKey || event.metaKey);
    const plain = !(event.ctrlKey || event.metaKey || event.altKey);
    if (find ? stage.search() : plain && pressed(event.key, stage)) {
      event.preventDefault();
      event.stopPropagation();
    }
  };
  window.addEventListener("keydown", listen, true);
  return () => window.removeEventListener("keydown", listen, true);
}

// Do what the key means; return whether it means something here. Other keys are left to the page.
function pressed(key, stage) {
  // Ports are points on the edge of a frame, not nodes.
  const groups = [...stage.nodes.values()].filter((node) => !node.port).map((node) => node.group);
  const current = stage.nodes.get(stage.selected())?.group;
  const go = (group) => group && stage.select(idOf(group), { reveal: true });
  if (key.startsWith("Arrow") && groups.length) go(neighbour(groups, current, key));
  else if (key === "Home") go(groups[0]);
  else if (key === "End") go(groups[groups.length - 1]);
  else if (key === "Enter" || key === " ") {
    if (!current) return false;
    stage.toggle(idOf(current));
  } else if (key === "Escape") stage.select("");
  else if (key === "+" || key === "=") stage.view.zoom(0.8);
  else if (key === "-") stage.view.zoom(1.25);
  else if (key === "0") stage.view.fit();
  else if (key === "1") stage.view.natural();
  else if (key === "/") return stage.search();
  else if (key === "p") return stage.nextProblem();
  else if (key === "t") return stage.switch("types");
  else if (key === "d") return stage.switch("diff");
  else return false;
  return true;
}

// Return a new element. Texts are set as text, never as HTML: names come from a person's code.
function made(tag, className, text = "") {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text) element.textContent = text;
  return element;
}

// Return a button; `label` is its tooltip and its accessible name.
function button(text, label, act, className = "") {
  const element = made("button", className, text);
  element.type = "button";
  element.title = label;
  element.setAttribute("aria-label", label);
  element.addEventListener("click", act);
  return element;
}

function zoomButtons(stage) {
  const bar = made("div", "fnb-zoom");
  bar.append(
    button("+", "Zoom in (+)", () => stage.view.zoom(0.8)),
    button("−", "Zoom out (−)", () => stage.view.zoom(1.25)),
    button("1:1", "Natural size (1)", () => stage.view.natural()),
    button("⤢", "Show the whole graph (0)", () => stage.view.fit()),
  );
  return bar;
}
