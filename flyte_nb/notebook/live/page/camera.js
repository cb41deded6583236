// The camera: which part of a drawing is visible, as the SVG's viewBox, and how a person moves it.
//
// Moving changes one attribute of the SVG. The browser then scales vectors it has already, so panning over
// thousands of nodes stays smooth, and nothing is asked of Python.
//
// Two units: px on the screen, and units of the drawing. `scale` is units a px: 1 is natural size, 2 shows
// twice as much, half as large.

const clamp = (value, low, high) => Math.min(high, Math.max(low, value));

const READABLE = 0.7; // of natural size; the first view is never smaller, even if it cannot show everything
const TALLEST = 460; // px of the stage, so that a tall graph does not push the notebook off the screen

// Return the top left of a node in units of the drawing; null when there is no such node.
function placeOf(group) {
  const [, x, y] = /translate\(([-\d.]+)[ ,]+([-\d.]+)\)/.exec(group?.getAttribute("transform") || "") || [];
  return x === undefined ? null : { x: Number(x), y: Number(y) };
}

// Return the camera of a new drawing.
//
// `before` is what `kept` of the previous camera returned. With it, the new drawing keeps the scale, and the
// node that was opened or closed keeps its place on the screen: everything else may move, but what a person
// looks at does not jump. `moving` is called with the view after every move.
function camera(svg, host, before, moving) {
  const [, , width, height] = svg.getAttribute("viewBox").split(/[ ,]+/).map(Number);
  let now = { x: 0, y: 0, width, height };
  let moved = false; // whether a person chose the view; until then it follows the size of the host
  let last = host.clientWidth || width; // the host's width for which `now` was made; 0 while it is hidden
  // The drawing's natural size would otherwise be the size of the element.
  svg.removeAttribute("width");
  svg.removeAttribute("height");
  // The stage is as high as the drawing in the first view needs. It grows when a node is opened and does not
  // shrink when one is closed, so that the cells below do not jump.
  const shrunk = clamp(width / (host.clientWidth || width), 1, 1 / READABLE);
  const wanted = clamp(height / shrunk + 24, 120, TALLEST);
  if (!host.dataset.sized || host.offsetHeight < wanted) host.style.height = `${wanted}px`;
  host.dataset.sized = "yes";
  const apply = () => {
    svg.setAttribute("viewBox", `${now.x} ${now.y} ${now.width} ${now.height}`);
    moving(view);
  };
  // A hidden host (another tab, a page that is not laid out yet) has no size. Then natural size will do
  // until `resized` is called.
  const room = () => ({ width: host.clientWidth || width, height: host.clientHeight || height });
  const show = (scale, x, y) => {
    const { width: w, height: h } = room();
    now = { x, y, width: w * scale, height: h * scale };
    last = w;
    apply();
  };
  // Show the whole drawing, never larger than natural size. `least` is how small it may get (as READABLE): a
  // drawing that does not fit is then shown as wide as the host if it is tall, else from its beginning on.
  const fit = (least = 0) => {
    const { width: w, height: h } = room();
    let scale = Math.max(1, width / w, height / h);
    if (least && scale > 1 / least) scale = clamp(width / w, 1, 1 / least);
    const x = width > w * scale + 1 ? 0 : (width - w * scale) / 2;
    const y = (height - h * scale) / 2;
    show(scale, x, y);
    moved = false;
  };
  const view = {
    fit: () => fit(),
    natural() {
      this.zoom(1 / this.scale());
    },
    resized: () => {
      if (!moved) return fit(READABLE);
      show(now.width / last, now.x, now.y); // the scale stays, more or less becomes visible
    },
    // Whether a node at this place can be seen. 220 by 50 is as large as a node gets; being wrong by a node
    // at the edge only recolours one that is not needed.
    shows: (place) =>
      place.x < now.x + now.width && place.x + 220 > now.x && place.y < now.y + now.height && place.y + 50 > now.y,
    scale: () => now.width / (last || 1),
    kept: (group) => ({ now, scale: now.width / (last || 1), place: placeOf(group) }),
    // Zoom around a place of the drawing (the pointer), else around the middle: that place does not move.
    zoom(factor, at = null) {
      // Between a tenth of the drawing and about twice of it: farther out a person only gets lost.
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
    // Move as little as needed to bring a node into view that the keyboard or a search selected.
    reveal(group) {
      const seen = host.getBoundingClientRect();
      const box = group.getBoundingClientRect();
      // How far a side is over the edge. A node larger than the stage shows its beginning.
      const over = (low, high, from, to) =>
        low < from || high - low > to - from ? from - low : high > to ? to - high : 0;
      const dx = over(box.left, box.right, seen.left + 12, seen.right - 12);
      const dy = over(box.top, box.bottom, seen.top + 12, seen.bottom - 12);
      if (dx || dy) this.pan(dx * this.scale(), dy * this.scale());
    },
    // Return where an event of the pointer is in the drawing.
    point(event) {
      const matrix = svg.getScreenCTM();
      if (!matrix) return { x: now.x, y: now.y }; // not laid out, e.g. in a hidden tab
      return new DOMPoint(event.clientX, event.clientY).matrixTransform(matrix.inverse());
    },
  };
  // A node that is not in both drawings gives nothing to hold on to.
  if (before?.place && before.to) {
    now = { ...before.now };
    now.x += before.to.x - before.place.x;
    now.y += before.to.y - before.place.y;
    show(before.scale, now.x, now.y);
    moved = true;
  } else fit(READABLE);
  return view;
}
