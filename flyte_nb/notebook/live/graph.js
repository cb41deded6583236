// The live graph: shows a drawing made in Python, recolours its nodes, pans, zooms and selects.
// It never lays anything out. State: `states` is {node: [phase, subtitle]}; a custom message carries
// only what changed. `selected` is the id of the selected node, or "".

const clamp = (value, low, high) => Math.min(high, Math.max(low, value));

function merge(model, delta) {
  Object.assign(model.get("states"), delta);
}

function nodesOf(svg) {
  return [...svg.querySelectorAll('g[id^="node-"]')];
}

const idOf = (group) => group.id.slice("node-".length);

const LIVE = new Set(["RUNNING", "DYNAMIC_RUNNING", "SUCCEEDING"]);

// Cuts a text that is wider than its node; what was cut is in the tooltip.
function write(line, text, room) {
  line.textContent = text;
  let kept = text.length;
  while (kept > 1 && line.getComputedTextLength() > room) {
    kept -= 1;
    line.textContent = `${text.slice(0, kept).trimEnd()}…`;
  }
}

function paint(svg, looks, delta) {
  for (const [id, [phase, subtitle]] of Object.entries(delta)) {
    const group = svg.querySelector(`[id="node-${CSS.escape(id)}"]`);
    const look = looks[phase] || looks.UNDEFINED;
    if (!group || group.classList.contains("io")) continue;
    group.dataset.phase = phase;
    const [mark, word] = look;
    group.querySelector(".m")?.setAttribute("d", mark);
    const line = group.querySelector(".s");
    const box = group.querySelector(".b");
    // In a tab that is not shown everything measures 0; the text is cut when it is shown again.
    if (line && box) write(line, subtitle || word, Math.max(1, box.getBBox().width - 20));
    const title = group.querySelector("title");
    if (title) {
      group.dataset.name ??= title.textContent.split(" · ")[0];
      title.textContent = [group.dataset.name, word, subtitle].filter(Boolean).join(" · ");
    }
    for (const edge of svg.querySelectorAll(`.e[data-t="${CSS.escape(id)}"]`)) {
      edge.classList.toggle("live", LIVE.has(phase));
    }
  }
}

// The visible part of the drawing, as a viewBox. At home the drawing is never larger than natural.
function camera(svg, host) {
  const [, , width, height] = svg.getAttribute("viewBox").split(/[ ,]+/).map(Number);
  let now = { x: 0, y: 0, width, height };
  let moved = false;
  svg.removeAttribute("width");
  svg.removeAttribute("height");
  host.style.height = `${clamp(height + 24, 120, 440)}px`;
  const apply = () =>
    svg.setAttribute("viewBox", `${now.x} ${now.y} ${now.width} ${now.height}`);
  const fit = () => {
    const room = { width: host.clientWidth || width, height: host.clientHeight || height };
    const scale = Math.max(1, width / room.width, height / room.height);
    now = { width: room.width * scale, height: room.height * scale };
    now.x = (width - now.width) / 2;
    now.y = (height - now.height) / 2;
    moved = false;
    apply();
  };
  fit();
  return {
    fit,
    resized: () => moved || fit(),
    scale: () => now.width / (svg.getBoundingClientRect().width || 1),
    zoom(factor, at = null) {
      const wide = clamp(now.width * factor, width / 10, Math.max(width, now.width, 900) * 2);
      const ratio = wide / now.width;
      const point = at || { x: now.x + now.width / 2, y: now.y + now.height / 2 };
      now = {
        x: point.x - (point.x - now.x) * ratio,
        y: point.y - (point.y - now.y) * ratio,
        width: wide,
        height: now.height * ratio,
      };
      moved = true;
      apply();
    },
    pan(dx, dy) {
      now.x -= dx;
      now.y -= dy;
      moved = true;
      apply();
    },
    // Bring a node into view that the keyboard went to.
    reveal(group) {
      const seen = host.getBoundingClientRect();
      const box = group.getBoundingClientRect();
      const scale = this.scale();
      const over = (low, high, from, to) => (low < from ? from - low : high > to ? to - high : 0);
      const dx = over(box.left, box.right, seen.left + 8, seen.right - 8);
      const dy = over(box.top, box.bottom, seen.top + 8, seen.bottom - 8);
      if (dx || dy) this.pan(dx * scale, dy * scale);
    },
    point(event) {
      const matrix = svg.getScreenCTM();
      if (!matrix) return { x: now.x, y: now.y };
      return new DOMPoint(event.clientX, event.clientY).matrixTransform(matrix.inverse());
    },
  };
}

// The node that lies nearest in the direction of an arrow key.
function neighbour(groups, from, key) {
  const [dx, dy] = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowDown: [0, 1], ArrowUp: [0, -1] }[key];
  const centre = (group) => {
    const box = group.getBoundingClientRect();
    return [box.x + box.width / 2, box.y + box.height / 2];
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

function toolbar(view) {
  const bar = document.createElement("div");
  bar.className = "fnb-zoom";
  for (const [text, label, act] of [
    ["+", "Zoom in", () => view.zoom(0.8)],
    ["−", "Zoom out", () => view.zoom(1.25)],
    ["⤢", "Show the whole graph", () => view.fit()],
  ]) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = text;
    button.title = label;
    button.setAttribute("aria-label", label);
    button.addEventListener("click", act);
    bar.append(button);
  }
  return bar;
}

function listenToPointer(host, svg, view, select) {
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
    const scale = view.scale();
    view.pan(dx * scale, dy * scale);
    held = { x: event.clientX, y: event.clientY };
  });
  const release = () => {
    held = null;
  };
  host.addEventListener("pointerup", release);
  host.addEventListener("pointercancel", release);
  svg.addEventListener("click", (event) => {
    if (moved) return;
    const group = event.target.closest('g[id^="node-"]');
    select(group ? idOf(group) : "");
  });
  // Only with Ctrl or a pinch: a plain wheel belongs to the page.
  host.addEventListener(
    "wheel",
    (event) => {
      if (!event.ctrlKey && !event.metaKey) return;
      event.preventDefault();
      view.zoom(Math.exp(clamp(event.deltaY, -60, 60) * 0.005), view.point(event));
    },
    { passive: false },
  );
}

function listenToKeys(host, svg, view, current, select) {
  host.addEventListener("keydown", (event) => {
    const groups = nodesOf(svg);
    const key = event.key;
    if (event.target !== host && !event.target.closest("svg")) return;
    if (key.startsWith("Arrow") && groups.length) {
      const next = neighbour(groups, current(), key);
      select(idOf(next));
      view.reveal(next);
    } else if (key === "Escape") select("");
    else if (key === "+" || key === "=") view.zoom(0.8);
    else if (key === "-") view.zoom(1.25);
    else if (key === "0") view.fit();
    else return;
    event.preventDefault();
    event.stopPropagation();
  });
}

function mount(host, model) {
  host.innerHTML = model.get("svg");
  const svg = host.querySelector("svg");
  if (!svg) return null;
  svg.removeAttribute("role");
  const view = camera(svg, host);
  new ResizeObserver(() => {
    view.resized();
    paint(svg, model.get("looks"), model.get("states"));
  }).observe(host);
  const mark = () => {
    const id = model.get("selected");
    for (const group of nodesOf(svg)) {
      group.classList.toggle("fnb-selected", idOf(group) === id);
    }
  };
  const select = (id) => {
    model.set("selected", id);
    model.save_changes();
    mark();
  };
  const current = () =>
    nodesOf(svg).find((group) => idOf(group) === model.get("selected"));
  listenToPointer(host, svg, view, select);
  listenToKeys(host, svg, view, current, select);
  host.append(toolbar(view));
  paint(svg, model.get("looks"), model.get("states"));
  mark();
  return { svg, mark };
}

export default {
  initialize({ model }) {
    model.on("msg:custom", (message) => message.delta && merge(model, message.delta));
  },
  render({ model, el }) {
    let host = document.createElement("div");
    host.className = "fnb-stage";
    host.tabIndex = 0;
    host.setAttribute("role", "group");
    host.setAttribute("aria-label", model.get("label"));
    host.dataset.lmSuppressShortcuts = "true";
    el.append(host);
    let shown = mount(host, model);
    const onDelta = (message) =>
      shown && message.delta && paint(shown.svg, model.get("looks"), message.delta);
    const onStates = () => shown && paint(shown.svg, model.get("looks"), model.get("states"));
    const onSelected = () => shown && shown.mark();
    const onSvg = () => {
      const fresh = host.cloneNode(false);
      host.replaceWith(fresh);
      host = fresh;
      shown = mount(host, model);
    };
    model.on("msg:custom", onDelta);
    model.on("change:states", onStates);
    model.on("change:selected", onSelected);
    model.on("change:svg", onSvg);
    return () => {
      model.off("msg:custom", onDelta);
      model.off("change:states", onStates);
      model.off("change:selected", onSelected);
      model.off("change:svg", onSvg);
    };
  },
};
