// Parameters and results of any shape: as text and tables if possible, deeper nesting as JSON.

import { html } from "./html.js";
import { isNumber, write } from "./exact.js";
import { label, number, scalar } from "./format.js";

const MOST_ROWS = 50;

const isObject = (value) => value !== null && typeof value === "object" && !Array.isArray(value) && !isNumber(value);
const isFlat = (value) => !isObject(value) && !Array.isArray(value);
const isTable = (value) => Array.isArray(value) && value.length > 0 && value.every((each) => isObject(each) && Object.keys(each).length > 0 && Object.values(each).every(isFlat));

/** Indented JSON. Browsers fail at some thousand levels of nesting. */
export function json(of) {
  try {
    return write(of, 2);
  } catch {
    return "Nested too deeply to be shown here.";
  }
}

/** The values of an object, then a table for each list of objects. Empty lists are left out, as in mails. */
export function Values({ of }) {
  if (!isObject(of)) return html`<${Value} name="value" of=${of} />`;
  const entries = Object.entries(of).filter(([, value]) => !Array.isArray(value) || value.length > 0);
  const plain = entries.filter(([, value]) => !isTable(value));
  return html`
    ${plain.length > 0 &&
    html`<dl class="facts">${plain.map(([key, value]) => html`<div><dt title=${key}>${label(key)}</dt><dd><${Value} name=${key} of=${value} /></dd></div>`)}</dl>`}
    ${entries.filter(([, value]) => isTable(value)).map(([key, value]) => html`<${Rows} title=${label(key)} of=${value} />`)}`;
}

function Value({ name, of }) {
  if (isFlat(of)) return html`<span class=${isNumber(of) ? "figures" : ""} translate=${false}>${scalar(name, of)}</span>`;
  // A value that contains a comma would look like two.
  if (Array.isArray(of) && of.every((each) => isFlat(each) && !String(each).includes(",")))
    return html`<span translate=${false}>${of.map((each) => scalar(name, each)).join(", ")}</span>`;
  return html`<pre class="json" tabindex="0" translate=${false} aria-label=${label(name)}>${json(of)}</pre>`;
}

function Rows({ title, of }) {
  const names = [...new Set(of.flatMap(Object.keys))];
  return html`
    <div class="scroll" tabindex="0" role="region" aria-label=${title}>
      <table class="values">
        <caption>${title}</caption>
        <thead><tr>${names.map((name) => html`<th scope="col" title=${name}>${label(name)}</th>`)}</tr></thead>
        <tbody>
          ${of.slice(0, MOST_ROWS).map((row) => html`<tr>${names.map((name) => html`<td translate=${false}>${Object.hasOwn(row, name) ? scalar(name, row[name]) : ""}</td>`)}</tr>`)}
        </tbody>
      </table>
      ${of.length > MOST_ROWS && html`<p class="hint">And ${number(of.length - MOST_ROWS)} more.</p>`}
    </div>`;
}
