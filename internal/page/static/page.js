// The live page shows the fetcher's events. See docs/api.md.

import { showHistory } from "./chart.js";
import { offerControls, showControls } from "./controls.js";
import { showDead } from "./dead.js";
import { clock, count, duration, element, plural, rate, text } from "./format.js";
import { refreshMap, showMap } from "./map.js";
import { showShadow } from "./shadow.js";
import { compareVersions, showMappers, showStragglers, showVersions } from "./mappers.js";

const root = document.documentElement;
let heard = performance.now(); // when the last event came
let last = null; // the last status
let stream = null;

function connect() {
  stream = new EventSource("/api/events");
  const on = (name, show) => stream.addEventListener(name, (event) => { alive(); show(JSON.parse(event.data)); });
  on("status", showStatus);
  on("map", showMap);
  on("history", showHistory);
  stream.onerror = () => setConnected(false);
}

function alive() {
  heard = performance.now();
  if (root.dataset.connected !== "true") { setConnected(true); offerControls(); }
}

function setConnected(yes) {
  root.dataset.connected = yes;
  element("offline").hidden = yes;
  if (!yes) tellOffline();
}

function tellOffline() {
  const silent = duration((performance.now() - heard) / 1000);
  text(element("offline"), last?.state === "done"
    ? "The job is done, and its fetcher has exited. This is the final state."
    : `No data from the fetcher for ${silent}. The page shows the last known state and reconnects by itself.`);
}

// A fetcher that hangs keeps its connection open, and a browser does not retry a refused one.
setInterval(() => {
  if (performance.now() - heard > 4000) setConnected(false);
  if (stream.readyState === EventSource.CLOSED) connect();
}, 1000);

const states = { running: "good", done: "good", finishing: "good", starting: "warn", paused: "warn", failed: "bad", cancelled: "bad" };

function showStatus(s) {
  last = s;
  for (const key of ["mappers", "versions", "gone", "stragglers"]) s[key] ??= [];
  const state = s.state === "running" && s.paused ? "paused" : s.state;
  text(element("job"), s.job);
  text(element("state"), state);
  element("state").className = `badge ${states[state] ?? ""}`;
  text(element("source"), s.source);
  text(element("bottleneck"), s.bottleneck ? capital(s.bottleneck.text) + "." : ends[state]?.(s) ?? "Nothing is holding the job back.");
  const percent = (Math.floor(s.progress * 1000) / 10).toFixed(1);
  text(element("percent"), `${percent} %`);
  element("bar").value = s.progress;
  text(element("saved"), `${plural(s.objects.saved, "object")} saved${s.cut ? ` of ${count(s.objects.cut)}` : ", the source is being read"}`);
  text(element("rate"), s.state === "done" ? "–" : `${rate(s.rate)}/s`);
  text(element("outputs"), `objects; ${plural(s.objects.outputs, "output")} so far${s.rate_limit > 0 ? `; limit ${rate(s.rate_limit)}/s` : ""}`);
  text(element("eta"), s.eta_seconds !== undefined ? duration(s.eta_seconds) : s.state === "done" ? "0 s" : "–");
  text(element("end"), s.eta_seconds !== undefined ? `done about ${clock(new Date(Date.now() + s.eta_seconds * 1000))}` : `running for ${duration(s.seconds)}`);
  text(element("dead-count"), count(s.objects.dead));
  text(element("redelivered"), `${plural(s.chunks.redelivered, "piece")} redelivered, ${plural(s.chunks.duplicates, "duplicate")} dropped`);
  text(element("count-saved"), count(s.chunks.saved));
  text(element("count-flight"), count(s.chunks.in_flight));
  text(element("count-ready"), count(s.chunks.ready));
  text(element("about"), `Plan ${s.plan}, epoch ${s.epoch}; this fetcher has run for ${duration(s.seconds)}.`);
  showVersions(s);
  compareVersions(s);
  showMappers(s);
  showStragglers(s);
  showDead(s);
  showControls(s);
  showShadow(s);
  refreshMap(s);
  document.title = `${percent} % ${s.job}: ${state}`;
  root.dataset.updates = Number(root.dataset.updates) + 1;
}

const capital = (words) => words.charAt(0).toUpperCase() + words.slice(1);

const ends = {
  done: (s) => done(s),
  failed: () => "The job has failed: the fetcher's log says why. Saved chunks stay.",
  cancelled: () => "The job was cancelled. Saved chunks stay.",
};

const done = (s) => `Done: every object is saved, once${s.objects.dead > 0 ? ", or is a dead letter" : ""}.${s.summary.output && s.summary.output !== "-" ? ` The result is in ${s.summary.output}.` : ""}`;

connect();
