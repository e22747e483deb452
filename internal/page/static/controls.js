// Controls for operators, if the fetcher allows them. The token is kept until the tab is closed.

import { element, text } from "./format.js";

const token = element("token");
const answer = element("control-answer");

export async function offerControls() {
  const reply = await fetch("/api/control").catch(() => null);
  if (reply?.ok && (await reply.json()).enabled) element("controls").hidden = false;
}

export function showControls(status) {
  element("pause").disabled = status.paused;
  element("resume").disabled = !status.paused;
}

async function order(what, confirmation) {
  sessionStorage.setItem("token", token.value);
  text(answer, "…");
  try {
    const reply = await fetch("/api/control", {
      method: "POST", body: JSON.stringify(what),
      headers: { "Authorization": `Bearer ${token.value}`, "Content-Type": "application/json" },
    });
    const body = await reply.json();
    text(answer, reply.ok ? confirmation : `Refused: ${body.error}`);
  } catch (err) {
    text(answer, `No answer from the fetcher: ${err.message}`);
  }
}

token.value = sessionStorage.getItem("token") ?? "";
element("pause").addEventListener("click", () => order({ action: "pause" }, "Paused. Chunks in flight will be finished."));
element("resume").addEventListener("click", () => order({ action: "resume" }, "Resumed."));
element("set-rate").addEventListener("click", () => {
  const rate = Number(element("rate-limit").value);
  if (!(rate >= 0)) { text(answer, "The rate must be 0 (no limit) or more objects a second."); return; }
  order({ action: "rate", rate }, rate === 0 ? "No limit." : `At most ${rate} objects a second.`);
});
element("cancel").addEventListener("click", () => element("sure").showModal());
element("sure").addEventListener("close", () => { if (element("sure").returnValue === "yes") order({ action: "cancel" }, "Cancelled."); });
document.querySelector("#controls form").addEventListener("submit", (event) => event.preventDefault());
