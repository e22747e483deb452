// The map of the chunks: a cell is a chunk, or several if there are many. A cell shows, from the bottom, the saved
// share of its objects, its chunks in flight and its dead chunks; the rest is ready or not read yet.

import { bytes, count, duration, element, plural, text } from "./format.js";

const canvas = element("map");
const about = element("map-about");
const most = 2000; // cells

let map = null; // as the server sends it: from, each, total, cells
let stragglers = new Set();
let zoom = []; // ranges that were zoomed into, the widest first
let columns = 1;
let size = 1;
let chosen = -1;
let asked = ""; // the chunk and cell that the description shows

export function showMap(whole) {
  if (zoom.length === 0) set(whole);
}

// refreshMap fetches the part that is shown, once a second while the map is zoomed.
export async function refreshMap(status) {
  stragglers = new Set(status.stragglers.map((s) => s.chunk));
  if (zoom.length === 0) return;
  const { from, to } = zoom[zoom.length - 1];
  const answer = await fetch(`/api/map?from=${from}&to=${to}&cells=${most}`).catch(() => null);
  if (answer?.ok && zoom.length > 0 && zoom[zoom.length - 1].from === from) set(await answer.json());
}

function set(latest) {
  map = { ...latest, cells: latest.cells.map((cell) => ({ saved: 0, in_flight: 0, dead: 0, ready: 0, share: 0, ...cell })) };
  draw();
  if (chosen >= 0) describe();
}

const cells = () => (map ? map.cells.length : 0);
const end = () => Math.min(map.total, map.from + cells() * map.each);

function draw() {
  const scale = window.devicePixelRatio || 1;
  const width = canvas.clientWidth, height = canvas.clientHeight;
  if (canvas.width !== Math.round(width * scale) || canvas.height !== Math.round(height * scale)) {
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(height * scale);
  }
  const brush = canvas.getContext("2d");
  brush.setTransform(scale, 0, 0, scale, 0, 0);
  brush.clearRect(0, 0, width, height);
  if (!map || width === 0) return;
  size = Math.min(64, largest(cells(), width, height));
  columns = Math.max(1, Math.floor(width / size));
  const gap = size >= 5 ? 1 : 0;
  const style = getComputedStyle(document.documentElement);
  const color = Object.fromEntries(["saved", "flight", "ready", "dead", "unread", "mark"].map((name) => [name, style.getPropertyValue(`--${name}`)]));
  const late = new Set([...stragglers].map((id) => Math.floor((id - map.from) / map.each)));
  const sum = { saved: 0, in_flight: 0, ready: 0 };
  map.cells.forEach((cell, i) => {
    const x = (i % columns) * size, y = Math.floor(i / columns) * size, side = size - gap;
    const chunks = Math.min(map.each, map.total - map.from - i * map.each);
    const parts = parted(cell, color);
    brush.fillStyle = color.unread;
    brush.fillRect(x, y, side, side);
    let below = side;
    for (const [n, c] of parts) {
      if (n === 0) continue;
      const tall = Math.min(below, Math.max(n / chunks * side, Math.min(2, side)));
      brush.fillStyle = c;
      brush.fillRect(x, y + below - tall, side, tall);
      below -= tall;
    }
    if (late.has(i)) frame(brush, x, y, side, color.dead);
    if (i === chosen) frame(brush, x, y, side, color.mark);
    sum.saved += cell.saved; sum.in_flight += cell.in_flight; sum.ready += cell.ready;
  });
  Object.assign(canvas.dataset, { saved: sum.saved, inFlight: sum.in_flight, ready: sum.ready, cells: cells() });
  element("map-out").hidden = zoom.length === 0;
  const cell = map.each === 1 ? "a cell is a chunk" : `a cell is ${count(map.each)} chunks`;
  text(element("map-range"), zoom.length === 0 ? `${plural(map.total, "chunk")}; ${cell}` : `chunks ${count(map.from)} to ${count(end() - 1)} of ${count(map.total)}; ${cell}`);
}

// parted returns the parts of a cell in chunks, from the bottom, with their colours. The saved objects of incomplete
// chunks are subtracted from the chunks in flight, then from the ready ones.
function parted(cell, color) {
  const partly = Math.max(0, cell.share * read(cell) - cell.saved);
  const flight = Math.max(0, cell.in_flight - partly);
  const ready = Math.max(0, cell.ready - Math.max(0, partly - cell.in_flight));
  return [[cell.saved + partly, color.saved], [flight, color.flight], [cell.dead, color.dead], [ready, color.ready]];
}

// read is the number of a cell's chunks that were read.
const read = (cell) => cell.saved + cell.in_flight + cell.dead + cell.ready;

// largest returns the side of the largest squares of which n fit into the canvas.
function largest(n, width, height) {
  let side = Math.sqrt(width * height / Math.max(1, n));
  while (side > 1 && Math.floor(width / side) * Math.floor(height / side) < n) side -= 0.25;
  return side > 6 ? Math.floor(side) : Math.max(1, side);
}

function frame(brush, x, y, side, color) {
  brush.strokeStyle = color;
  brush.lineWidth = Math.max(1.5, side / 8);
  brush.strokeRect(x + 0.75, y + 0.75, side - 1.5, side - 1.5);
}

async function describe() {
  const cell = map.cells[chosen];
  const from = map.from + chosen * map.each, to = Math.min(map.total, from + map.each);
  if (map.each > 1 && to - from > 1) {
    const parts = [[cell.saved, "saved"], [cell.in_flight, "in flight"], [cell.dead, "dead"], [cell.ready, "ready"], [to - from - read(cell), "not read yet"]];
    asked = "";
    text(about, `Chunks ${count(from)} to ${count(to - 1)}: ${parts.filter(([n]) => n > 0).map(([n, what]) => `${count(n)} ${what}`).join(", ")}.${cell.saved < read(cell) ? savedShare(cell) : ""}`);
    return;
  }
  const question = `${from} ${JSON.stringify(cell)}`;
  if (asked === question && cell.in_flight === 0) return; // nothing has changed
  asked = question;
  const answer = await fetch(`/api/chunks/${from}`).catch(() => null);
  if (asked !== question) return; // another one was chosen meanwhile
  text(about, answer?.ok ? describeChunk(await answer.json()) + (cell.saved > 0 ? "" : savedShare(cell)) : `Chunk ${count(from)}: not read yet.`);
}

// savedShare is a sentence on the objects of a cell; empty if none is saved.
const savedShare = (cell) => (cell.share > 0 ? ` ${Math.floor(100 * cell.share)} % of the objects are saved.` : "");

function describeChunk(c) {
  const parts = [`Chunk ${count(c.chunk)}: ${c.state.replace("_", " ")}`];
  if (c.mappers) parts.push(`for ${duration(c.seconds || 0)} at ${c.mappers.join(" and ")}${c.backup ? " (the last one as a backup attempt)" : ""}`);
  if (c.attempt > 1) parts.push(`, attempt ${c.attempt}`);
  if (c.lost) parts.push(`; mappers that vanished with it: ${c.lost.join(", ")}`);
  if (c.objects) parts.push(`; objects ${count(c.first || 0)} to ${count((c.first || 0) + c.objects - 1)}, ${bytes(c.bytes || 0)}`);
  return `${parts.join(" ").replaceAll(" ,", ",").replaceAll(" ;", ";")}.`;
}

function choose(i) {
  if (!map || cells() === 0) return;
  chosen = Math.max(0, Math.min(cells() - 1, i));
  draw();
  describe();
}

function zoomIn() {
  if (chosen < 0 || !map || map.each === 1) return;
  const from = map.from + chosen * map.each;
  show([...zoom, { from, to: Math.min(map.total, from + map.each) }]);
}

async function show(ranges) {
  zoom = ranges;
  chosen = ranges.length > 0 ? 0 : -1;
  const { from, to } = ranges[ranges.length - 1] ?? { from: 0, to: 0 };
  const answer = await fetch(`/api/map?from=${from}&to=${to}&cells=${most}`).catch(() => null);
  if (answer?.ok && zoom === ranges) set(await answer.json());
}

const zoomOut = () => zoom.length > 0 && show(zoom.slice(0, -1));

function at(event) {
  const box = canvas.getBoundingClientRect();
  const x = Math.floor((event.clientX - box.left) / size), y = Math.floor((event.clientY - box.top) / size);
  const i = y * columns + x;
  return x < columns && i < cells() ? i : -1;
}

canvas.addEventListener("pointermove", (event) => { const i = at(event); if (i >= 0 && i !== chosen) choose(i); });
canvas.addEventListener("click", (event) => { const i = at(event); if (i >= 0) { choose(i); zoomIn(); } });
canvas.addEventListener("keydown", (event) => {
  const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns, Home: -Infinity, End: Infinity };
  if (event.key in steps) choose(chosen < 0 ? 0 : chosen + steps[event.key]);
  else if (event.key === "Enter") zoomIn();
  else if (event.key === "Escape") zoomOut();
  else return;
  event.preventDefault();
});
element("map-out").addEventListener("click", zoomOut);
new ResizeObserver(draw).observe(canvas);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
