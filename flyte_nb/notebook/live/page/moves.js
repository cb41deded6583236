// What pointers and keys do on the stage.

// The node that lies nearest in the direction of an arrow key.
function neighbour(groups, from, key) {
  const [dx, dy] = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowDown: [0, 1], ArrowUp: [0, -1] }[key];
  const centre = (group) => {
    const box = group.getBoundingClientRect();
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
    if (along > 2 && along + 2 * across < least) {
      least = along + 2 * across;
      best = group;
    }
  }
  return best || from;
}

// `stage` has `view`, `select(id, {reveal})`, `toggle(id)`; they change with every drawing, the host stays.
function listenToPointer(host, stage) {
  let held = null;
  let moved = false;
  host.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || event.target.closest(".fnb-zoom")) return;
    held = { x: event.clientX, y: event.clientY };
    moved = false;
  });
  host.addEventListener("pointermove", (event) => {
    if (!held) return;
    const dx = event.clientX - held.x;
    const dy = event.clientY - held.y;
    if (!moved && Math.hypot(dx, dy) < 4) return;
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
    if (group && event.target.closest(".o")) stage.toggle(idOf(group));
    else stage.select(group ? idOf(group) : "");
  });
  host.addEventListener("dblclick", (event) => {
    const group = event.target.closest('g[id^="node-"]');
    if (group && !event.target.closest(".o")) stage.toggle(idOf(group));
  });
  // Only with Ctrl or a pinch: a plain wheel belongs to the page.
  host.addEventListener(
    "wheel",
    (event) => {
      if (!event.ctrlKey && !event.metaKey) return;
      event.preventDefault();
      stage.view.zoom(Math.exp(clamp(event.deltaY, -60, 60) * 0.005), stage.view.point(event));
    },
    { passive: false },
  );
}

// Listens on the window, so that it comes before a notebook's own shortcuts; the result ends that.
function listenToKeys(host, stage) {
  const listen = (event) => {
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

// Whether the key meant something here.
function pressed(key, stage) {
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

function made(tag, className, text = "") {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text) element.textContent = text;
  return element;
}

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
