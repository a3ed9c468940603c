// Parameters and results, whatever a job puts into them: readable first, JSON where it is nested deeper.

import { html } from "./vendor/htm-preact.js";
import { label, number, scalar } from "./format.js";

const MOST_ROWS = 50;

const isObject = (value) => value !== null && typeof value === "object" && !Array.isArray(value);
const isFlat = (value) => !isObject(value) && !Array.isArray(value);
const isTable = (value) => Array.isArray(value) && value.length > 0 && value.every((each) => isObject(each) && Object.values(each).every(isFlat));

/** The values of an object; each list of like things becomes a table after them, and an empty one is left out, as in mails. */
export function Values({ of }) {
  const entries = Object.entries(of).filter(([, value]) => !Array.isArray(value) || value.length > 0);
  const plain = entries.filter(([, value]) => !isTable(value));
  return html`
    ${plain.length > 0 &&
    html`<dl class="facts">${plain.map(([key, value]) => html`<div><dt>${label(key)}</dt><dd><${Value} name=${key} of=${value} /></dd></div>`)}</dl>`}
    ${entries.filter(([, value]) => isTable(value)).map(([key, value]) => html`<${Rows} title=${label(key)} of=${value} />`)}`;
}

function Value({ name, of }) {
  if (isFlat(of)) return html`<span class=${typeof of === "number" ? "figures" : ""}>${scalar(name, of)}</span>`;
  if (Array.isArray(of) && of.every(isFlat)) return of.map((each) => scalar(name, each)).join(", ");
  return html`<pre class="json" tabindex="0" aria-label=${label(name)}>${JSON.stringify(of, null, 2)}</pre>`;
}

function Rows({ title, of }) {
  const names = [...new Set(of.flatMap(Object.keys))];
  return html`
    <div class="scroll" tabindex="0" role="region" aria-label=${title}>
      <table class="values">
        <caption>${title}</caption>
        <thead><tr>${names.map((name) => html`<th scope="col">${label(name)}</th>`)}</tr></thead>
        <tbody>
          ${of.slice(0, MOST_ROWS).map((row) => html`<tr>${names.map((name) => html`<td>${scalar(name, row[name] ?? null)}</td>`)}</tr>`)}
        </tbody>
      </table>
      ${of.length > MOST_ROWS && html`<p class="hint">And ${number(of.length - MOST_ROWS)} more.</p>`}
    </div>`;
}
