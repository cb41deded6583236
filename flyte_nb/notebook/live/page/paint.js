// Recolouring: what a node says is written in place, as far as it can be seen; nothing is laid out. A node
// out of view gets its colour when it comes into view; from far away, what nobody could read is left out.

const LIVE = new Set(["RUNNING", "DYNAMIC_RUNNING", "SUCCEEDING"]);
const LEGIBLE = 0.4; // of natural size; smaller, nobody can read a second line or tell a mark
const SIDES = 20; // px beside a node's second line

const idOf = (group) => group.id.slice("node-".length);

// What recolouring touches, looked up once for a drawing.
function reading(svg) {
  const nodes = new Map();
  for (const group of svg.querySelectorAll('g[id^="node-"]')) {
    const part = (name) => group.querySelector(`:scope > ${name}`);
    const title = part("title");
    nodes.set(idOf(group), {
      group,
      title,
      box: part("rect.b") || part(".b"),
      mark: part(".m"),
      line: part("text.s"),
      name: title?.textContent.split(" · ")[0] || "",
      phase: group.dataset.phase,
      shape: null,
      live: null,
      state: null, // what it is to show
      arrows: [],
      place: placeOf(group),
      port: group.classList.contains("port"),
      still: group.classList.contains("io"), // never has a phase
      frame: group.classList.contains("f"),
    });
  }
  for (const arrow of svg.querySelectorAll(".e")) nodes.get(arrow.dataset.t)?.arrows.push(arrow);
  return nodes;
}

// Room for its second line, in px.
function measure(node) {
  const width = () => Number(node.box?.getAttribute("width")) || node.box?.getBBox().width || 0;
  // Of a frame's head, the other half is its title.
  node.room ||= width() * (node.frame ? 0.5 : 1) - (node.group.dataset.open ? 2 : 1) * SIDES;
}

const pen = document.createElement("canvas").getContext("2d");

// Cuts texts as far as they fit; measures a character once, on a canvas, because a page would lay
// everything out for it.
function cutter(font) {
  const widths = new Map();
  const widthOf = (character) => {
    if (!widths.has(character)) {
      pen.font = font;
      widths.set(character, pen.measureText(character).width);
    }
    return widths.get(character);
  };
  return (text, room) => {
    if (room <= 0) return text;
    const left = room - widthOf("…");
    let used = 0;
    let fits = 0;
    for (const character of text) {
      used += widthOf(character);
      if (used <= left) fits += character.length;
      if (used > room) return `${text.slice(0, fits).trimEnd()}…`;
    }
    return text;
  };
}

// A text node keeps its place on the page; another one would be styled anew.
function write(element, text) {
  if (!element?.firstChild) element?.append(text);
  else if (element.firstChild.data !== text) element.firstChild.data = text;
}

// Writes states into a drawing. Everything is read before anything is written, so that a page styles and
// lays out once for all nodes; and only what changed is written.
function painter(looks) {
  let nodes = new Map();
  let cut = cutter("10.5px sans-serif");
  let view = null;
  let far = false;

  const inView = (node) => node.frame || !node.place || view.shows(node.place);
  const colour = (node) => {
    const [phase] = node.state;
    if (node.phase === phase) return;
    node.phase = phase;
    node.group.dataset.phase = phase;
  };
  const detail = (node) => {
    const [phase, subtitle] = node.state;
    const [mark, word] = looks[phase] || looks.UNDEFINED;
    if (node.shape !== mark) {
      node.shape = mark;
      node.mark?.setAttribute("d", mark);
    }
    if (node.live !== LIVE.has(phase)) {
      node.live = LIVE.has(phase);
      for (const arrow of node.arrows) arrow.classList.toggle("live", node.live);
    }
    write(node.line, cut(subtitle || word, node.room));
  };
  const show = (changed) => {
    const seen = changed.filter((node) => node.state && inView(node));
    if (!far) seen.forEach(measure);
    seen.forEach(colour);
    if (!far) seen.forEach(detail);
  };
  return {
    onto(drawn) {
      nodes = drawn;
      const line = [...nodes.values()].find((node) => node.line)?.line;
      if (line) cut = cutter(getComputedStyle(line).font);
    },
    // The view has moved.
    look(now, svg) {
      view = now;
      far = view.scale() * LEGIBLE > 1;
      svg.classList.toggle("fnb-far", far);
      show([...nodes.values()]);
    },
    paint(delta) {
      const changed = [];
      for (const [id, [phase, subtitle]] of Object.entries(delta)) {
        const node = nodes.get(id);
        if (!node || node.still) continue;
        node.state = [phase, subtitle];
        const word = (looks[phase] || looks.UNDEFINED)[1];
        write(node.title, [node.name, word, subtitle].filter(Boolean).join(" · "));
        changed.push(node);
      }
      show(changed);
    },
  };
}
