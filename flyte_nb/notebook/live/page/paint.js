// Recolouring: what a node says is written in place; nothing is measured and nothing is laid out.

const LIVE = new Set(["RUNNING", "DYNAMIC_RUNNING", "SUCCEEDING"]);
const SIDES = 20; // px beside a node's second line

const idOf = (group) => group.id.slice("node-".length);

// What recolouring touches, looked up once for a drawing.
function reading(svg) {
  const nodes = new Map();
  for (const group of svg.querySelectorAll('g[id^="node-"]')) {
    const part = (name) => group.querySelector(`:scope > ${name}`);
    const box = part("rect.b") || part(".b");
    nodes.set(idOf(group), {
      group,
      box,
      mark: part(".m"),
      line: part("text.s"),
      title: part("title"),
      name: part("title")?.textContent.split(" · ")[0] || "",
      arrows: [],
      said: null,
      port: group.classList.contains("port"),
      share: group.classList.contains("f") ? 0.5 : 1, // of a frame's head, the rest is its title
    });
  }
  for (const arrow of svg.querySelectorAll(".e")) nodes.get(arrow.dataset.t)?.arrows.push(arrow);
  return nodes;
}

function roomOf(node) {
  const width = () => Number(node.box?.getAttribute("width")) || node.box?.getBBox().width || 0;
  node.room ||= width() * node.share - (node.group.dataset.open ? 2 : 1) * SIDES;
  return node.room;
}

const pen = document.createElement("canvas").getContext("2d");
const widths = new Map();

// A text as far as it fits; measured on a canvas, because a page would lay everything out for it.
function cut(text, room, font) {
  if (room <= 0) return text;
  const width = (piece) => {
    const key = font + piece;
    if (!widths.has(key)) {
      if (widths.size > 20000) widths.clear();
      pen.font = font;
      widths.set(key, pen.measureText(piece).width);
    }
    return widths.get(key);
  };
  if (width(text) <= room) return text;
  let low = 1;
  let high = text.length;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (width(`${text.slice(0, middle).trimEnd()}…`) <= room) low = middle;
    else high = middle - 1;
  }
  return `${text.slice(0, low).trimEnd()}…`;
}

// Writes states into a drawing: so many nodes at once, what is in view first, the rest in the frames that
// follow. So no frame waits for five hundred nodes, and a small graph changes at once.
function painter(looks, inView) {
  const AT_ONCE = 100;
  let nodes = new Map();
  let font = "10.5px sans-serif";
  let waiting = {};
  let frame = 0;

  const write = (id, [phase, subtitle]) => {
    const node = nodes.get(id);
    if (!node || node.group.classList.contains("io")) return;
    const [mark, word] = looks[phase] || looks.UNDEFINED;
    const said = `${phase}\n${subtitle}`;
    if (node.said === said) return;
    node.said = said;
    if (node.group.dataset.phase !== phase) {
      node.group.dataset.phase = phase;
      node.mark?.setAttribute("d", mark);
      for (const arrow of node.arrows) arrow.classList.toggle("live", LIVE.has(phase));
    }
    if (node.line) node.line.textContent = cut(subtitle || word, roomOf(node), font);
    if (node.title) {
      node.title.textContent = [node.name, word, subtitle].filter(Boolean).join(" · ");
    }
  };
  const flush = () => {
    frame = 0;
    let ids = Object.keys(waiting);
    if (ids.length > AT_ONCE) {
      const seen = ids.filter((id) => nodes.has(id) && inView(nodes.get(id)));
      ids = [...new Set([...seen, ...ids])].slice(0, AT_ONCE);
    }
    for (const id of ids) {
      write(id, waiting[id]);
      delete waiting[id];
    }
    if (Object.keys(waiting).length) frame = requestAnimationFrame(flush);
  };
  return {
    onto(drawn) {
      nodes = drawn;
      waiting = {};
      const line = [...nodes.values()].find((node) => node.line)?.line;
      if (line) ({ font } = getComputedStyle(line));
    },
    paint(delta) {
      Object.assign(waiting, delta);
      if (!frame) flush();
    },
  };
}
