// JSON without rounding: a number that JavaScript would write differently keeps its digits.

// Marks an exact number. It cannot occur in the API's data, because Postgres cannot store NUL.
const MARK = "\0";
const TOKEN = /"[^"\\]*(?:\\.[^"\\]*)*"|-?\d[\d.eE+-]*/g;
const WRITTEN = /"\\u0000(-?\d[\d.eE+-]*)"/g;

/** A number that keeps its digits. In calculations it is the nearest number of JavaScript. */
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

/** Like JSON.parse, with Exact for numbers that would change. */
export function parse(text) {
  const value = JSON.parse(text);
  const marked = text.replace(TOKEN, (token) => (token[0] === '"' || String(Number(token)) === token ? token : `{"\\u0000":"${token}"}`));
  if (marked === text) return value;
  return JSON.parse(marked, (_, each) => (each !== null && typeof each === "object" && Object.hasOwn(each, MARK) ? new Exact(each[MARK]) : each));
}

/** Like JSON.stringify, with the digits of Exact. */
export const write = (value, space) =>
  JSON.stringify(value, (_, each) => (each instanceof Exact ? MARK + each.digits : each), space).replace(WRITTEN, "$1");
