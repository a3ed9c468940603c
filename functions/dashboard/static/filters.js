// The filters of the list. The address holds them, so that a reload, a bookmark and the back button keep them.

import { html } from "./html.js";
import { Choice } from "./choice.js";
import { capital } from "./format.js";
import { STATUSES } from "./parts.js";
import { address, go, toList } from "./router.js";
import { projectChoices, projectFinder, useProjects } from "./team.js";

const SINCE = [["1h", "Last hour"], ["24h", "Last 24 hours"], ["7d", "Last 7 days"], ["30d", "Last 30 days"]];
const NAMES = ["job_type", "status", "project_id", "since"];

/** The filters in the query of the address. */
export const filtersOf = (query) => Object.fromEntries(NAMES.filter((name) => query[name]).map((name) => [name, query[name]]));

export const clearFilters = () => go(toList());

export function Filters({ query, teamId, team }) {
  const first = team?.projects ?? [];
  const chosen = useProjects(teamId, [query.project_id], team)(query.project_id);
  const projects = !chosen || first.includes(chosen) ? first : [...first, chosen];
  const filter = (name, text, what, choices, find) => html`
    <${Filter} text=${text} what=${what} value=${query[name] ?? ""} choices=${choices} find=${find}
      onChange=${(value) => go(address("runs", { ...query, [name]: value }))} />`;
  return html`
    <div class="filters" role="group" aria-label="Filters">
      ${filter("status", "Status", "statuses", STATUSES.map((status) => [status, capital(status)]))}
      ${filter("job_type", "Type", "types", (team?.types ?? []).map((type) => [type.job_type, type.label]))}
      ${filter("project_id", "Project", "projects", projectChoices(projects), team?.hasMore ? projectFinder(teamId) : null)}
      ${filter("since", "Time", "times", SINCE)}
      ${Object.keys(filtersOf(query)).length > 0 &&
      html`<button class="plain" type="button" onClick=${clearFilters}>Clear</button>`}
    </div>`;
}

function Filter({ text, what, value, choices, find, onChange }) {
  // The value in the address may not be among the choices. It is shown anyway, because the list is filtered by it.
  const all = value && !choices.some(([choice]) => choice === value) ? [...choices, [value, value]] : choices;
  return html`<${Choice} class=${value && "chosen"} aria-label=${text} first="${text}: any" choices=${all} ...${{ what, value, find, onChange }} />`;
}
