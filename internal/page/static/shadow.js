// The shadow run: the results of a version for copies of chunks, compared with the saved results. Fetched
// every few seconds while there is one.

import { count, element, plural, text } from "./format.js";
import { rowsOf } from "./mappers.js";

const every = 5; // status events between two requests
let wait = 0;

export async function showShadow(status) {
  const run = status.shadow;
  element("shadow").hidden = run === undefined;
  if (run === undefined || wait-- > 0) return;
  wait = every - 1;
  const answer = await fetch("/api/shadow").catch(() => null);
  if (!answer?.ok) return;
  const report = await answer.json();
  const compared = report.versions.filter((v) => shadows(run.version, v.version)).map((v) =>
    ` ${v.version}: of ${plural(v.objects, "object")} compared ${count(v.different)} differ (${(100 * v.different / v.objects).toFixed(2)} %), and ${count(v.failed)} failed only there.`);
  text(element("shadow-count"), `${run.version} gets copies of ${100 * run.share} % of the saved chunks.${compared.join("") || " Nothing has been compared yet."}`);
  rowsOf("differences", report.differences, [0], (d) => [count(d.ordinal), made(d.saved), made(d.shadow)]);
}

// shadow-* means all versions whose names begin with shadow-.
const shadows = (name, version) => version === name || name.length > 1 && name.endsWith("*") && version.startsWith(name.slice(0, -1));

const made = (m) => (m.error ? `dead letter: ${m.error}` : m.outputs.trimEnd() || "nothing");
