// Further filters of the list: who started a run, texts in it, a span of time, and the beginning of its id.

import { html } from "./html.js";
import { Choice } from "./choice.js";
import { zone } from "./format.js";

/** `people` are `[caller, name]`. `onChange(changes)` changes the query of the address. */
export function View({ query, people, onChange }) {
  const apply = (event) => {
    event.preventDefault();
    const { id, error, params, from, to } = event.currentTarget.elements;
    // The beginning of an id stands for itself.
    if (id.value.trim()) return onChange({ ...Object.fromEntries(Object.keys(query).map((name) => [name, ""])), team: query.team, id_prefix: id.value.trim() });
    const since = from.value ? instant(from.value) : /^\d{4}-/.test(query.since ?? "") ? "" : query.since;
    onChange({ error: error.value.trim(), params: params.value.trim(), since, until: instant(to.value) });
  };
  const text = (name, title, value, hint) => html`
    <div class="field">
      <label for="filter-${name}">${title}</label>
      <input id="filter-${name}" name=${name} type="text" autocomplete="off" maxlength="200" defaultValue=${value ?? ""} aria-describedby=${hint && `filter-${name}-hint`} />
      ${hint && html`<p id="filter-${name}-hint" class="hint">${hint}</p>`}
    </div>`;
  const time = (name, title, value) => html`
    <div class="field">
      <label for="filter-${name}">${title}</label>
      <input id="filter-${name}" name=${name} type="datetime-local" defaultValue=${local(value)} />
    </div>`;
  return html`
    <form key=${JSON.stringify(query)} class="card morefilters" aria-label="More filters" autocomplete="off" onSubmit=${apply}>
      <div class="field">
        <label for="filter-by">Triggered by</label>
        <${Choice} id="filter-by" what="people" first="Anyone" value=${query.triggered_by ?? ""} choices=${people} onChange=${(value) => onChange({ triggered_by: value })} />
      </div>
      ${text("error", "Error contains", query.error)}
      ${text("params", "Parameters contain", query.params, "A text, or the value of one as name=value.")}
      ${time("from", `From${zone && ` (${zone})`}`, query.since)}
      ${time("to", `To${zone && ` (${zone})`}`, query.until)}
      ${text("id", "Id begins with", query.id_prefix, "Four digits or more. Other filters do not apply with it.")}
      <button>Apply</button>
    </form>`;
}

/** A time of this machine's zone as ISO 8601 in UTC. */
const instant = (value) => (value ? new Date(value).toISOString() : "");

/** An ISO 8601 time as the field shows it, in this machine's zone. */
function local(value) {
  const at = new Date(value ?? NaN);
  return Number.isNaN(at.getTime()) ? "" : new Date(at - at.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
}
