"use strict";
// Curves as SVG. All charts over steps share one view: zooming one zooms them all.

const SVG = "http://www.w3.org/2000/svg";
const SIZE = { width: 420, height: 200, left: 52, right: 12, top: 10, bottom: 34 };
const MOST = 900; // points of a line; of more, the lowest and highest of each stretch are drawn

function node(kind, attributes = {}, ...children) {
  const made = document.createElementNS(SVG, kind);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

function shortNumber(value) {
  const size = Math.abs(value);
  if (value === 0) return "0";
  if (size >= 1e-3 && size < 1e5) return String(Number(value.toPrecision(4)));
  return value.toExponential(1).replace("e+", "e").replace(".0e", "e");
}

function ticks(low, high) {
  const rough = (high - low) / 5;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= rough * 0.999) || 10 * power;
  const found = [];
  for (let number = Math.ceil(low / step - 1e-9); number <= Math.floor(high / step + 1e-9); number++) {
    found.push(number * step);
  }
  return found;
}

// An exponential average, corrected for its start.
function smoothed(points, weight) {
  let average = 0;
  let total = 0;
  const result = [];
  for (const [x, y] of points) {
    if (!Number.isFinite(y)) continue;
    average = weight * average + (1 - weight) * y;
    total = weight * total + (1 - weight);
    result.push([x, average / total]);
  }
  return result;
}

function thinned(points) {
  if (points.length <= MOST) return points;
  const size = Math.ceil((2 * points.length) / MOST);
  const kept = [];
  for (let first = 0; first < points.length; first += size) {
    const stretch = points.slice(first, first + size);
    let low = stretch[0];
    let high = stretch[0];
    for (const point of stretch) {
      if (point[1] < low[1]) low = point;
      if (point[1] > high[1]) high = point;
    }
    kept.push(...(low === high ? [low] : low[0] < high[0] ? [low, high] : [high, low]));
  }
  return kept;
}

function span(values, margin) {
  let low = Infinity;
  let high = -Infinity;
  for (const value of values) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  if (high - low < 1e-12 * Math.max(Math.abs(high), 1e-12)) {
    const room = Math.abs(high) * 0.1 || 1;
    return [low - room, high + room];
  }
  return [low - margin * (high - low), high + margin * (high - low)];
}

class Chart {
  // view: {zoom: [from, to] or null, changed()}; charts that are not over steps have one of their own.
  constructor(parent, title, across, view) {
    this.title = title;
    this.across = across;
    this.view = view;
    this.lines = [];
    this.log = false;
    this.box = document.createElement("div");
    this.box.className = "box";
    this.box.dataset.chart = title;
    const head = document.createElement("h3");
    head.textContent = title;
    this.plot = document.createElement("div");
    this.plot.className = "plot";
    this.tip = document.createElement("div");
    this.tip.className = "tip";
    this.tip.hidden = true;
    this.legend = document.createElement("div");
    this.legend.className = "legend";
    this.box.append(head, this.plot, this.legend);
    parent.append(this.box);
    this.listen();
  }

  // lines: [{name, color, points: [[x, y], …], faint, dashed, dotted}]
  draw(lines, log) {
    this.lines = lines;
    this.log = log;
    const zoom = this.view.zoom;
    const kept = lines
      .map((line) => ({
        ...line,
        points: line.points.filter(
          ([x, y]) => Number.isFinite(y) && (!log || y > 0) && (!zoom || (x >= zoom[0] && x <= zoom[1])),
        ),
      }))
      .filter((line) => line.points.length);
    this.box.hidden = !kept.length && !zoom;
    this.kept = kept;
    const { width, height, left, right, top, bottom } = SIZE;
    const svg = node("svg", { class: "chart", viewBox: `0 0 ${width} ${height}` });
    this.svg = svg;
    if (kept.length) {
      const xs = kept.flatMap((line) => [line.points[0][0], line.points[line.points.length - 1][0]]);
      const ys = kept.flatMap((line) => line.points.map(([, y]) => (log ? Math.log10(y) : y)));
      [this.x0, this.x1] = zoom || span(xs, 0);
      const [y0, y1] = span(ys, 0.05);
      const px = (x) => left + ((x - this.x0) / (this.x1 - this.x0)) * (width - left - right);
      const py = (y) => height - bottom - (((log ? Math.log10(y) : y) - y0) / (y1 - y0)) * (height - top - bottom);
      this.px = px;
      this.py = py;
      for (const tick of ticks(y0, y1)) {
        const value = log ? 10 ** tick : tick;
        svg.append(node("path", { class: "grid", d: `M${left} ${py(value)}H${width - right}` }));
        svg.append(node("text", { x: left - 6, y: py(value) + 4, "text-anchor": "end" }, shortNumber(value)));
      }
      for (const tick of ticks(this.x0, this.x1)) {
        const anchor = px(tick) > width - right - 10 ? "end" : "middle"; // the last one would be cut off
        svg.append(node("text", { x: px(tick), y: height - 18, "text-anchor": anchor }, shortNumber(tick)));
      }
      svg.append(node("text", { x: width - right, y: height - 3, "text-anchor": "end", "font-style": "italic" }, this.across));
      for (const line of kept) {
        const places = thinned(line.points).map(([x, y]) => `${px(x).toFixed(1)} ${py(y).toFixed(1)}`);
        const path = node("path", { class: line.faint ? "line faint" : "line", d: `M${places.join("L")}` });
        path.style.stroke = line.color;
        if (line.dashed) path.setAttribute("stroke-dasharray", "5 4");
        svg.append(path);
        if (line.dotted || places.length === 1) {
          for (const place of places) {
            const [cx, cy] = place.split(" ");
            const dot = node("circle", { cx, cy, r: 2.6 });
            dot.style.fill = line.color;
            if (line.faint) dot.style.opacity = 0.4;
            svg.append(dot);
          }
        }
      }
    }
    this.plot.replaceChildren(svg, this.tip);
    this.box.dataset.points = Math.max(0, ...kept.map((line) => line.points.length));
    this.legend.replaceChildren(
      ...kept
        .filter((line) => line.name)
        .map((line) => {
          const item = document.createElement("span");
          const mark = document.createElement("i");
          mark.style.background = line.color;
          if (line.faint || line.dashed) mark.style.opacity = 0.45;
          item.append(mark, line.name);
          return item;
        }),
    );
  }

  at(event) {
    const box = this.svg.getBoundingClientRect();
    const x = ((event.clientX - box.left) / box.width) * SIZE.width;
    const share = Math.min(Math.max((x - SIZE.left) / (SIZE.width - SIZE.left - SIZE.right), 0), 1);
    return this.x0 + share * (this.x1 - this.x0);
  }

  listen() {
    let from = null;
    this.plot.addEventListener("pointerdown", (event) => {
      if (!this.kept.length) return;
      from = this.at(event);
      this.plot.setPointerCapture(event.pointerId);
    });
    this.plot.addEventListener("pointermove", (event) => {
      if (!this.kept.length) return;
      this.svg.querySelectorAll(".zoom, .cursor").forEach((mark) => mark.remove());
      const x = this.at(event);
      if (from !== null) {
        const [a, b] = [this.px(Math.min(from, x)), this.px(Math.max(from, x))];
        const height = SIZE.height - SIZE.top - SIZE.bottom;
        this.svg.append(node("rect", { class: "zoom", x: a, y: SIZE.top, width: b - a, height }));
        return;
      }
      this.svg.append(node("path", { class: "cursor", d: `M${this.px(x)} ${SIZE.top}V${SIZE.height - SIZE.bottom}` }));
      this.show(x);
    });
    this.plot.addEventListener("pointerup", (event) => {
      if (from === null) return;
      const to = this.at(event);
      const zoom = [Math.min(from, to), Math.max(from, to)];
      from = null;
      if (zoom[1] - zoom[0] > (this.x1 - this.x0) / 100) {
        this.view.zoom = zoom;
        this.view.changed();
      }
    });
    this.plot.addEventListener("pointerleave", () => {
      this.tip.hidden = true;
      this.svg?.querySelectorAll(".cursor").forEach((mark) => mark.remove());
    });
    this.plot.addEventListener("dblclick", () => {
      this.view.zoom = null;
      this.view.changed();
    });
  }

  show(x) {
    const rows = this.kept
      .filter((line) => !line.faint || this.kept.length === 1)
      .map((line) => {
        let low = 0;
        let high = line.points.length - 1;
        while (high - low > 1) {
          const middle = (low + high) >> 1;
          if (line.points[middle][0] <= x) low = middle;
          else high = middle;
        }
        const near = Math.abs(line.points[low][0] - x) <= Math.abs(line.points[high][0] - x) ? low : high;
        const [at, y] = line.points[near];
        const row = document.createElement("div");
        const mark = document.createElement("i");
        mark.className = "swatch";
        mark.style.background = line.color;
        row.append(mark, `${this.across} ${shortNumber(at)}: ${Number(y.toPrecision(5))}`);
        return row;
      });
    this.tip.replaceChildren(...rows);
    this.tip.hidden = !rows.length;
    const left = this.px(x) / SIZE.width;
    this.tip.style.left = left < 0.5 ? `${left * 100 + 2}%` : "auto";
    this.tip.style.right = left < 0.5 ? "auto" : `${(1 - left) * 100 + 2}%`;
  }
}
