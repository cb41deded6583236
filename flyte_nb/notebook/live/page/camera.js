// The visible part of a drawing, as a viewBox, and how a person moves it.

const clamp = (value, low, high) => Math.min(high, Math.max(low, value));

const READABLE = 0.7; // of natural size; below it the first view shows the beginning, not the whole
const TALLEST = 460;

// Where a node's top left lies in the drawing.
function placeOf(group) {
  const [, x, y] = /translate\(([-\d.]+)[ ,]+([-\d.]+)\)/.exec(group?.getAttribute("transform") || "") || [];
  return x === undefined ? null : { x: Number(x), y: Number(y) };
}

// `before` is what `kept` of the drawing before gave: the new one keeps its scale, and the place on
// the screen of the node that was opened or closed. `moving` is called with the view after every move.
function camera(svg, host, before, moving) {
  const [, , width, height] = svg.getAttribute("viewBox").split(/[ ,]+/).map(Number);
  let now = { x: 0, y: 0, width, height };
  let moved = false;
  let last = host.clientWidth || width; // the host's width for which `now` was made
  svg.removeAttribute("width");
  svg.removeAttribute("height");
  const shrunk = clamp(width / (host.clientWidth || width), 1, 1 / READABLE);
  const wanted = clamp(height / shrunk + 24, 120, TALLEST);
  if (!host.dataset.sized || host.offsetHeight < wanted) host.style.height = `${wanted}px`;
  host.dataset.sized = "yes";
  const apply = () => {
    svg.setAttribute("viewBox", `${now.x} ${now.y} ${now.width} ${now.height}`);
    moving(view);
  };
  const room = () => ({ width: host.clientWidth || width, height: host.clientHeight || height });
  const show = (scale, x, y) => {
    const { width: w, height: h } = room();
    now = { x, y, width: w * scale, height: h * scale };
    last = w;
    apply();
  };
  // The whole drawing, never larger than natural. `least` is how small it may get: then a tall drawing is as
  // wide as the host, and a wide one shows its beginning.
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
    // Whether a place of the drawing can be seen.
    shows: (place) =>
      place.x < now.x + now.width && place.x + 220 > now.x && place.y < now.y + now.height && place.y + 50 > now.y,
    scale: () => now.width / (last || 1),
    kept: (group) => ({ now, scale: now.width / (last || 1), place: placeOf(group) }),
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
    // Bring a node into view that the keyboard or a search went to.
    reveal(group) {
      const seen = host.getBoundingClientRect();
      const box = group.getBoundingClientRect();
      const over = (low, high, from, to) =>
        low < from || high - low > to - from ? from - low : high > to ? to - high : 0;
      const dx = over(box.left, box.right, seen.left + 12, seen.right - 12);
      const dy = over(box.top, box.bottom, seen.top + 12, seen.bottom - 12);
      if (dx || dy) this.pan(dx * this.scale(), dy * this.scale());
    },
    point(event) {
      const matrix = svg.getScreenCTM();
      if (!matrix) return { x: now.x, y: now.y };
      return new DOMPoint(event.clientX, event.clientY).matrixTransform(matrix.inverse());
    },
  };
  if (before?.place && before.to) {
    now = { ...before.now };
    now.x += before.to.x - before.place.x;
    now.y += before.to.y - before.place.y;
    show(before.scale, now.x, now.y);
    moved = true;
  } else fit(READABLE);
  return view;
}
