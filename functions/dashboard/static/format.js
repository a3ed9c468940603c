// Values as text. Times are in milliseconds.

import { isNumber } from "./exact.js";

const UNITS = [["d", 86_400_000], ["h", 3_600_000], ["min", 60_000], ["s", 1_000]];

// Longer numbers are not grouped: they are not for reading.
const LONGEST_GROUPED = 100;

/** `1,234,567.25`, with all its digits. */
export const number = (value) =>
  String(value).replace(/^-?\d+/, (whole) => (whole.length > LONGEST_GROUPED ? whole : whole.replace(/\B(?=(\d{3})+$)/g, ",")));

/** `4 s`, `3 min 12 s`, `2 h 5 min`: the two largest units. */
export function duration(ms) {
  if (ms < 1_000) return "<1 s";
  const first = UNITS.findIndex(([, length]) => ms >= length);
  const [unit, length] = UNITS[first];
  const [next, nextLength] = UNITS[first + 1] ?? [];
  const rest = next && Math.floor((ms % length) / nextLength);
  return `${Math.floor(ms / length)} ${unit}${rest ? ` ${rest} ${next}` : ""}`;
}

/** `just now`, `3 min ago`, `12 Nov 2026` beyond a month. */
export function ago(at, now) {
  const past = now - at;
  if (past < 5_000) return "just now";
  if (past > 30 * 86_400_000) return day(at);
  const [unit, length] = UNITS.find(([, length]) => past >= length);
  return `${Math.floor(past / length)} ${unit} ago`;
}

/** With seconds and the time zone. */
export const moment = formatter({ dateStyle: "medium", timeStyle: "long" });

export const clock = formatter({ timeStyle: "medium" });

/** `23 Nov` */
export const dayOf = formatter({ day: "numeric", month: "short" });

/** `23 Nov 2026` */
export const day = formatter({ day: "numeric", month: "short", year: "numeric" });

/** The time zone of the times on the page, as in `Europe/Berlin`; empty if the browser does not say. */
export const zone = (() => {
  try {
    return Intl.DateTimeFormat().resolvedOptions().timeZone ?? "";
  } catch {
    return "";
  }
})();

/** A coarse estimate: `about 40 s`, `about 12 min`, `about 3 h`. */
export function roughly(ms) {
  if (ms < 5_000) return "a few seconds";
  const [unit, length] = UNITS.find(([, length]) => ms >= length * 1.5) ?? UNITS[3];
  const count = ms / length;
  return `about ${unit === "s" ? Math.ceil(count / 5) * 5 : Math.round(count)} ${unit}`;
}

/** `12 a second`, `40 a minute`, `9 an hour`, from steps a second. */
export function rate(pace) {
  if (pace >= 1) return `${number(Math.round(pace))} a second`;
  return pace * 60 >= 1 ? `${number(Math.round(pace * 60))} a minute` : `${number(Math.round(pace * 3_600))} an hour`;
}

export const capital = (word) => word[0].toUpperCase() + word.slice(1);

/** The text with a full stop, so that another sentence can follow. */
export const sentence = (text) => (/[.!?]$/.test(text) ? text : `${text}.`);

/** `freed_bytes` → `Freed`: the value shows the unit. */
export function label(key) {
  return capital(key.replace(/_s$/, "").split("_").filter((word) => word && word !== "bytes").join(" ") || "size");
}

/** A scalar with the unit that its key names: the word `bytes`, or `_s` at the end. No digit is lost. */
export function scalar(key, value) {
  if (value === null) return "—";
  if (value === "") return '""';
  if (typeof value === "boolean") return value ? "Yes" : "No";
  if (!isNumber(value)) return String(value);
  if (key.split("_").includes("bytes")) return inUnits(`${number(value)} bytes`, value, 1_024, size);
  return key.endsWith("_s") ? inUnits(`${number(value)} s`, value, 60, (seconds) => duration(seconds * 1_000)) : number(value);
}

/** `3 min 12 s (192 s)`: values from `least` on are also shown in larger units, which are less exact. */
const inUnits = (exactly, value, least, words) => (value >= least && value < Infinity ? `${words(value)} (${exactly})` : exactly);

function size(bytes) {
  const step = Math.min(Math.floor(Math.log2(bytes) / 10), 4);
  return `${number(Math.round((bytes / 1024 ** step) * 10) / 10)} ${["kB", "MB", "GB", "TB"][step - 1]}`;
}

/** Falls back to `toUTCString` if the browser lacks Intl or the time is not valid. */
function formatter(options) {
  let format;
  return (at) => {
    try {
      return (format ??= new Intl.DateTimeFormat("en-GB", options).format)(at);
    } catch {
      return new Date(at).toUTCString();
    }
  };
}
