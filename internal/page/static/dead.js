// The list of dead letters: objects that could not be mapped, and why. It is fetched when their number has changed.

import { bytes, count, element, plural, text } from "./format.js";

const list = element("dead-letters");
const older = element("dead-older");
let known = -1; // number of dead letters when the list was last fetched
let before = 0; // where the next page begins
let asking = false;

export function showDead(status) {
  const n = status.objects.dead;
  text(element("dead-note"), n === 0 ? "None so far." : `${plural(n, "object")} could not be mapped. The latest:`);
  element("dead-retry").hidden = n === 0;
  if (n !== known && !asking) {
    known = n;
    if (n > 0) ask("", true);
    else { list.replaceChildren(); older.hidden = true; }
  }
}

async function ask(where, anew) {
  asking = true;
  try {
    const answer = await fetch(`/api/dead?limit=20${where}`);
    const page = await answer.json();
    if (!answer.ok) throw new Error(page.error);
    if (anew) list.replaceChildren();
    list.append(...page.letters.map(item));
    before = page.before;
    older.hidden = before === 0;
  } catch (err) {
    known = -1; // ask again with the next status
    if (list.children.length === 0) text(element("dead-note"), `The dead letters cannot be shown: ${err.message}`);
  } finally {
    asking = false;
  }
}

function item(d) {
  const li = document.createElement("li");
  const part = (kind, className, value) => {
    const node = document.createElement(kind);
    node.className = className;
    node.textContent = value;
    li.append(node);
  };
  part("div", "error", d.error);
  const cut = d.bytes > new TextEncoder().encode(d.object).length ? ` … (${bytes(d.bytes)})` : "";
  part("code", "", d.object + cut);
  const from = d.mapper ? `, ${plural(d.attempts, "attempt")}, mapper ${d.mapper}${d.version ? ` ${d.version}` : ""}` : "";
  part("div", "note", `object ${count(d.ordinal)}, chunk ${count(d.chunk)}${from}`);
  return li;
}

older.addEventListener("click", () => { if (!asking) ask(`&before=${before}`, false); });
