// The table of mappers, with those that are gone at the end, and the table of stragglers.

import { count, duration, element, plural, rate, text } from "./format.js";

const firstRows = 100; // shown unless the viewer asks for all
const rows = new Map(); // by the mapper's ID
const table = element("mappers");
const body = table.querySelector("tbody");
let key = "name", down = false, all = false, latest = null;

export function showMappers(status) {
  latest = status;
  const list = [
    ...status.mappers.map((m) => ({ ...m, beat: m.last_beat_seconds })),
    ...status.gone.map((m) => ({ ...m, state: "gone", held: 0, rate: 0, beat: m.seconds })),
  ];
  const wanted = element("mapper-filter").value.trim().toLowerCase();
  const slow = element("mapper-slow").checked;
  const fit = list.filter((m) => (!slow || m.slow) && `${m.name} ${m.version} ${m.state}`.toLowerCase().includes(wanted));
  fit.sort(order);
  const shown = all ? fit : fit.slice(0, firstRows);
  const keep = new Set();
  shown.forEach((m, i) => {
    const row = rows.get(m.id) ?? create(m.id);
    fill(row, m);
    keep.add(m.id);
    if (body.children[i] !== row) body.insertBefore(row, body.children[i] ?? null);
  });
  for (const [id, row] of rows) if (!keep.has(id)) { row.remove(); rows.delete(id); }
  text(element("mappers-shown"), list.length === 0 ? "No mappers are connected." : shown.length < list.length ? `${count(shown.length)} of ${count(list.length)} are shown.` : "");
  element("mappers-all").hidden = shown.length === fit.length;
}

function order(a, b) {
  if ((a.state === "gone") !== (b.state === "gone")) return a.state === "gone" ? 1 : -1;
  if (a.state === "gone") return a.beat - b.beat; // the latest first
  const by = typeof a[key] === "number" ? a[key] - b[key] : collate(a[key], b[key]);
  return (down ? -by : by) || collate(a.name, b.name) || collate(a.id, b.id);
}

const collate = new Intl.Collator("en", { numeric: true }).compare;

function create(id) {
  const row = document.createElement("tr");
  row.dataset.mapper = id;
  for (let i = 0; i < 7; i++) row.append(document.createElement("td"));
  [3, 4, 5, 6].forEach((i) => row.children[i].classList.add("number"));
  rows.set(id, row);
  return row;
}

function fill(row, m) {
  row.dataset.state = m.state;
  row.dataset.slow = Boolean(m.slow);
  const gone = m.state === "gone";
  const state = gone ? `gone: ${m.why}${m.lost > 0 ? `; ${plural(m.lost, "piece")} requeued` : ""}` : m.slow ? `${m.state}, slow` : m.state;
  const cells = [
    m.name, m.version || "–", m.notice ? `${state}; ${m.notice}` : state,
    gone ? "–" : count(m.held), gone ? "–" : rate(m.rate), count(m.saved), `${duration(m.beat)} ago`,
  ];
  cells.forEach((value, i) => text(row.children[i], value));
}

export function showVersions(status) {
  const here = status.versions.filter((v) => v.mappers > 0);
  const busy = status.mappers.filter((m) => m.held > 0).length;
  text(element("mapper-count"), status.mappers.length === 0 ? "none" : `${count(busy)} of ${count(status.mappers.length)}`);
  const said = here.slice(0, 4).map((v) => `${v.version || "no version"}: ${count(v.mappers)}, ${rate(v.rate)}/s`);
  if (here.length > 4) said.push(`${here.length - 4} more versions`);
  text(element("versions"), status.mappers.length === 0 ? "" : `at work; ${said.join("; ")}`);
}

// compareVersions shows versions side by side, once there is something to compare or to limit.
export function compareVersions(status) {
  const limited = status.versions.some((v) => v.share < 1 || v.breaker_open_seconds !== undefined);
  element("version-table").hidden = status.versions.length < 2 && !limited;
  rowsOf("version-table", status.versions, [1, 2, 3, 4, 5, 6], (v, row) => {
    row.dataset.version = v.version;
    const failed = v.objects > 0 ? `${(100 * v.dead / v.objects).toFixed(1)} %` : "–";
    const takes = v.object_seconds.p50 > 0 ? `${short(v.object_seconds.p50)}, 95 %: ${short(v.object_seconds.p95)}` : "–";
    return [v.version || "–", count(v.mappers), rate(v.rate), count(v.saved), failed, takes, count(v.vanished), limit(v)];
  });
}

// short formats the seconds that one object takes.
const short = (seconds) => (seconds < 1 ? `${rate(1000 * seconds)} ms` : duration(seconds));

function limit(v) {
  if (v.breaker_open_seconds > 0) return `breaker open, a probe in ${duration(v.breaker_open_seconds)}`;
  if (v.breaker_open_seconds === 0) return "breaker half-open, on probe";
  return v.share < 1 ? `${rate(100 * v.share)} % of the chunks` : "none";
}

// rowsOf fills the rows of a table, one for each item.
export function rowsOf(id, items, numbers, cellsOf) {
  const list = element(id).querySelector("tbody");
  items.forEach((item, i) => {
    const row = list.children[i] ?? list.appendChild(document.createElement("tr"));
    cellsOf(item, row).forEach((value, k) => text(row.children[k] ?? row.appendChild(document.createElement("td")), value));
    numbers.forEach((k) => row.children[k].classList.add("number"));
  });
  while (list.children.length > items.length) list.lastChild.remove();
}

export function showStragglers(status) {
  rowsOf("stragglers", status.stragglers, [1, 2], (s, row) => {
    row.dataset.chunk = s.chunk;
    return [count(s.chunk), duration(s.seconds), count(s.attempt), s.mapper, s.backup || "none yet"];
  });
  const wins = status.chunks.backups > 0 ? ` ${plural(status.chunks.backups, "backup attempt")} so far, ${count(status.chunks.backup_wins)} of them ${status.chunks.backup_wins === 1 ? "was" : "were"} first.` : "";
  text(element("late-note"), (status.stragglers.length === 0 ? "No chunk is unusually slow." : "These take more than twice as long as the others.") + wins);
}

for (const head of table.querySelectorAll("th")) {
  head.querySelector("button").addEventListener("click", () => {
    down = key === head.dataset.key && !down;
    key = head.dataset.key;
    for (const th of table.querySelectorAll("th")) th.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    if (latest) showMappers(latest);
  });
}
element("mapper-filter").addEventListener("input", () => latest && showMappers(latest));
element("mapper-slow").addEventListener("change", () => latest && showMappers(latest));
element("mappers-all").addEventListener("click", () => { all = true; if (latest) showMappers(latest); });
