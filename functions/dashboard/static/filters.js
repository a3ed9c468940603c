// What the list is narrowed to. The address holds it, so that a reload, a bookmark and the back button keep it.

import { html } from "./vendor/htm-preact.js";
import { capital } from "./format.js";
import { STATUSES } from "./parts.js";
import { address, go, toList } from "./router.js";

const SINCE = [["1h", "Last hour"], ["24h", "Last 24 hours"], ["7d", "Last 7 days"], ["30d", "Last 30 days"]];
const NAMES = ["job_type", "status", "project_id", "since"];

/** The filters among the address's query. */
export const filtersOf = (query) => Object.fromEntries(NAMES.filter((name) => query[name]).map((name) => [name, query[name]]));

export const clearFilters = () => go(toList());

export function Filters({ query, team }) {
  const choose = (name) => (event) => go(address("", { ...query, [name]: event.target.value }));
  const filter = (name, text, choices) => html`
    <${Filter} text=${text} value=${query[name] ?? ""} choices=${choices} onChange=${choose(name)} />`;
  return html`
    <div class="filters" role="group" aria-label="Filters">
      ${filter("status", "Status", STATUSES.map((status) => [status, capital(status)]))}
      ${filter("job_type", "Type", (team?.types ?? []).map((type) => [type.job_type, type.label]))}
      ${filter("project_id", "Project", (team?.projects ?? []).map((project) => [project.id, project.name]))}
      ${filter("since", "Time", SINCE)}
      ${Object.keys(filtersOf(query)).length > 0 &&
      html`<button class="plain" type="button" onClick=${clearFilters}>Clear</button>`}
    </div>`;
}

function Filter({ text, value, choices, onChange }) {
  // What the address says may be none of the choices; it is shown all the same, because it is what was asked for.
  const all = value && !choices.some(([choice]) => choice === value) ? [...choices, [value, value]] : choices;
  return html`
    <select class=${value && "chosen"} aria-label=${text} onChange=${onChange}>
      <option value="" selected=${!value}>${text}: any</option>
      ${all.map(([choice, name]) => html`<option value=${choice} selected=${choice === value}>${name}</option>`)}
    </select>`;
}
