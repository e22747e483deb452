// Formatting of numbers and times, with three significant digits.

const whole = new Intl.NumberFormat("en");
const few = new Intl.NumberFormat("en", { maximumSignificantDigits: 3 });

export const count = (n) => whole.format(n);
export const rate = (n) => (n >= 100 ? whole.format(Math.round(n)) : few.format(n));

// plural(1, "chunk") is "1 chunk".
export const plural = (n, what) => `${count(n)} ${what}${n === 1 ? "" : "s"}`;

// duration formats seconds in the two largest units.
export function duration(seconds) {
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  const s = Math.round(seconds);
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${s % 60} s`;
  if (s < 86400) return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
  return `${Math.floor(s / 86400)} d ${Math.floor((s % 86400) / 3600)} h`;
}

// clock formats the time of day, with the date if it is not today.
export function clock(date) {
  const day = date.toDateString() === new Date().toDateString() ? {} : { weekday: "short", day: "numeric", month: "short" };
  return date.toLocaleString([], { ...day, hour: "2-digit", minute: "2-digit" });
}

export function bytes(n) {
  const units = ["bytes", "KiB", "MiB", "GiB"];
  let i = 0;
  while (n >= 1024 && i < units.length - 1) { n /= 1024; i++; }
  return `${few.format(n)} ${units[i]}`;
}

export const element = (id) => document.getElementById(id);

// text writes only changes, so that the browser does not lay out or read out the same text again.
export function text(node, value) {
  if (node.textContent !== value) node.textContent = value;
}
