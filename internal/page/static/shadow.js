// The shadow run: what a version makes of copies of chunks, beside what is saved. Asked for
// every few seconds while there is one.

import { count, element, plural, text } from "./format.js";
import { rowsOf } from "./mappers.js";

const every = 5; // status events between two questions
let wait = 0;

export async function showShadow(status) {
  const run = status.shadow;
  element("shadow").hidden = run === undefined;
  if (run === undefined || wait-- > 0) return;
  wait = every - 1;
  const answer = await fetch("/api/shadow").catch(() => null);
  if (!answer?.ok) return;
  const report = await answer.json();
  const own = report.versions.find((v) => v.version === run.version) ?? { chunks: 0, objects: 0, different: 0, failed: 0 };
  const share = own.objects > 0 ? ` (${(100 * own.different / own.objects).toFixed(2)} %)` : "";
  text(element("shadow-count"), `${run.version} gets copies of ${100 * run.share} % of the saved chunks. Of ${plural(own.objects, "object")} compared ${count(own.different)} differ${share}, and ${count(own.failed)} failed only there.`);
  rowsOf("differences", report.differences, [0], (d) => [count(d.ordinal), made(d.saved), made(d.shadow)]);
}

const made = (m) => (m.error ? `dead letter: ${m.error}` : m.outputs.trimEnd() || "nothing");
