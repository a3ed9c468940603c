// JSON in which no number is rounded: one that JavaScript would write otherwise keeps its digits.

// A key and a beginning that nothing from the API has: Postgres stores no NUL.
const MARK = "\0";
const TOKEN = /"[^"\\]*(?:\\.[^"\\]*)*"|-?\d[\d.eE+-]*/g;
const WRITTEN = /"\\u0000(-?\d[\d.eE+-]*)"/g;

/** A number by its digits, which counts as the nearest one of JavaScript. */
export class Exact {
  constructor(digits) {
    this.digits = digits;
  }

  valueOf() {
    return Number(this.digits);
  }

  toString() {
    return this.digits;
  }
}

export const isNumber = (value) => typeof value === "number" || value instanceof Exact;

/** As JSON.parse does, with Exact where a number would change. */
export function parse(text) {
  const value = JSON.parse(text);
  const marked = text.replace(TOKEN, (token) => (token[0] === '"' || String(Number(token)) === token ? token : `{"\\u0000":"${token}"}`));
  if (marked === text) return value;
  return JSON.parse(marked, (_, each) => (each !== null && typeof each === "object" && Object.hasOwn(each, MARK) ? new Exact(each[MARK]) : each));
}

/** As JSON.stringify does, with the digits of Exact. */
export const write = (value, space) =>
  JSON.stringify(value, (_, each) => (each instanceof Exact ? MARK + each.digits : each), space).replace(WRITTEN, "$1");
