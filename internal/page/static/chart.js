// Throughput over time, derived from the number of objects saved at each time.

import { clock, duration, element, rate, text } from "./format.js";

const svg = element("throughput");
const width = 600, height = 200;

export function showHistory(history) {
  const speeds = [];
  for (let i = 1; i < history.objects.length; i++) {
    speeds.push(Math.max(0, history.objects[i] - history.objects[i - 1]) / history.seconds);
  }
  if (speeds.length === 0) return;
  const smooth = speeds.map((_, i) => { // one second holds a few chunks or none: the mean of five shows the speed
    const near = speeds.slice(Math.max(0, i - 2), i + 3);
    return near.reduce((a, b) => a + b, 0) / near.length;
  });
  const most = Math.max(...smooth), top = ceiling(most);
  const x = (i) => (smooth.length === 1 ? width : i / (smooth.length - 1) * width);
  const y = (v) => height - v / top * (height - 4);
  const line = smooth.map((v, i) => `${x(i).toFixed(1)},${y(v).toFixed(1)}`).join(" ");
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  part("path", "grid", { d: [0.25, 0.5, 0.75, 1].map((f) => `M0 ${y(top * f)}H${width}`).join("") });
  part("polygon", "area", { points: `0,${height} ${line} ${width},${height}` });
  part("polyline", "line", { points: line });
  const now = smooth[smooth.length - 1], span = history.seconds * speeds.length;
  svg.setAttribute("aria-label", `Throughput over ${duration(span)}: now ${rate(now)} objects a second, at most ${rate(most)}`);
  text(element("speed-from"), clock(new Date(history.begin)));
  text(element("speed-most"), `lines at each ${rate(top / 4)}, the top is ${rate(top)} objects/s`);
  text(element("speed-to"), "now");
}

// ceiling is the next round number: 1, 2 or 4 with zeros.
function ceiling(n) {
  if (n <= 0) return 1;
  const unit = 10 ** Math.floor(Math.log10(n));
  return [1, 2, 4, 10].find((f) => f * unit >= n) * unit;
}

function part(kind, name, attributes) {
  let node = svg.querySelector(`.${name}`);
  if (!node) {
    node = document.createElementNS("http://www.w3.org/2000/svg", kind);
    node.setAttribute("class", name);
    svg.append(node);
  }
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
}
