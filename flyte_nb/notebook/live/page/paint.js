// Recolouring: write a node's state into the drawing, in place. Nothing is laid out again.
//
// It has to stay within one frame of the screen (16 ms) for 2,000 nodes. Three rules make that possible. A node
// out of view is written when it comes into view. From far away, texts and marks that nobody could read are
// left out. And everything is measured before anything is written, because a browser that is asked for a size
// after a change lays out the whole page first.

const LIVE = new Set(["RUNNING", "DYNAMIC_RUNNING", "SUCCEEDING"]); // arrows to these nodes are animated
const LEGIBLE = 0.4; // of natural size; smaller, a second line cannot be read, nor a mark recognized
const SIDES = 20; // px that a node's second line cannot use, on one side: the mark, or the button that opens

const idOf = (group) => group.id.slice("node-".length);

// Return everything that recolouring touches, by node. It is looked up once for each drawing: searching the
// document at each change would take longer than the change. Classes and ids are written by `graph/svg.py`.
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
      // What the drawing shows now; null when it is not known. Equal values are not written again.
      phase: group.dataset.phase,
      shape: null,
      live: null,
      state: null, // [phase, subtitle] that it should show; written when it can be seen
      arrows: [], // those that lead to it
      place: placeOf(group),
      port: group.classList.contains("port"),
      still: group.classList.contains("io"), // inputs and outputs of the workflow never have a phase
      frame: group.classList.contains("f"),
    });
  }
  for (const arrow of svg.querySelectorAll(".e")) nodes.get(arrow.dataset.t)?.arrows.push(arrow);
  return nodes;
}

// Set how much room the node's second line has, in px; once for each node.
function measure(node) {
  // A rectangle says its width. Other shapes are paths and have to be measured, which is slow.
  const width = () => Number(node.box?.getAttribute("width")) || node.box?.getBBox().width || 0;
  // In the head of a frame the title takes the other half.
  node.room ||= width() * (node.frame ? 0.5 : 1) - (node.group.dataset.open ? 2 : 1) * SIDES;
}

const pen = document.createElement("canvas").getContext("2d");

// Return a function that shortens a text to the room it has. Each character is measured once, on a canvas:
// measuring it in the page would make the browser lay everything out.
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

// Set the text of an element. The text node is kept: for a new one the browser computes styles again.
function write(element, text) {
  if (!element?.firstChild) element?.append(text);
  else if (element.firstChild.data !== text) element.firstChild.data = text;
}

// Return the painter of a stage, which writes states into its present drawing.
function painter(looks) {
  let nodes = new Map();
  let cut = cutter("10.5px sans-serif");
  let view = null;
  let far = false;

  // A frame may be much larger than the view, so its corner says nothing; there are few of them.
  const inView = (node) => node.frame || !node.place || view.shows(node.place);
  // Colours are by CSS from this one attribute.
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
    // First all that reads, then all that writes.
    if (!far) seen.forEach(measure);
    seen.forEach(colour);
    if (!far) seen.forEach(detail);
  };
  return {
    // Paint into these nodes from now on; they are a new drawing's.
    onto(drawn) {
      nodes = drawn;
      const line = [...nodes.values()].find((node) => node.line)?.line;
      if (line) cut = cutter(getComputedStyle(line).font);
    },
    // The view has moved: write what came into view, or became large enough to be read.
    look(now, svg) {
      view = now;
      far = view.scale() * LEGIBLE > 1;
      svg.classList.toggle("fnb-far", far);
      show([...nodes.values()]);
    },
    // Take over new states, and show those of nodes that can be seen.
    paint(delta) {
      const changed = [];
      for (const [id, [phase, subtitle]] of Object.entries(delta)) {
        const node = nodes.get(id);
        if (!node || node.still) continue; // a node inside a closed one is not drawn
        node.state = [phase, subtitle];
        // The title is written for hidden nodes too: screen readers and tooltips use it.
        const word = (looks[phase] || looks.UNDEFINED)[1];
        write(node.title, [node.name, word, subtitle].filter(Boolean).join(" · "));
        changed.push(node);
      }
      show(changed);
    },
  };
}
