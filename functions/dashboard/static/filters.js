// The filters of the list. The address holds them, so that a reload, a bookmark and the back button keep them.

import { html, useState } from "./html.js";
import { Choice } from "./choice.js";
import { capital, moment } from "./format.js";
import { Later } from "./later.js";
import { STATUSES } from "./parts.js";
import { nameOf } from "./people.js";
import { address, go, toList } from "./router.js";
import { projectChoices, projectFinder, useProjects } from "./team.js";

const SINCE = [["1h", "Last hour"], ["24h", "Last 24 hours"], ["7d", "Last 7 days"], ["30d", "Last 30 days"]];
const SEVERAL = [["pending,running", "Pending or running"], ["failed,cancelled", "Failed or cancelled"]];
const RARE = ["until", "triggered_by", "error", "params"];
const NAMES = ["job_type", "status", "project_id", "since", ...RARE];
const MORE = () => import("./morefilters.js");

/** The filters in the query of the address. The beginning of an id stands for itself: the API takes no other filter with it. */
export const filtersOf = (query) =>
  query.id_prefix ? { id_prefix: query.id_prefix } : Object.fromEntries(NAMES.filter((name) => query[name]).map((name) => [name, query[name]]));

export const clearFilters = () => go(toList());

export function Filters({ query, teamId, team, me }) {
  const [isOpen, setOpen] = useState(false);
  const first = team?.projects ?? [];
  const chosen = useProjects(teamId, [query.project_id], team)(query.project_id);
  const projects = !chosen || first.includes(chosen) ? first : [...first, chosen];
  const { id_prefix: _, ...others } = query;
  const change = (changes) => go(address("runs", { ...others, ...changes }));
  const filter = (name, text, what, choices, find) => html`
    <${Filter} text=${text} what=${what} value=${query[name] ?? ""} choices=${choices} find=${find}
      onChange=${(value) => change({ [name]: value })} />`;
  const rare = [...RARE, "id_prefix"].filter((name) => query[name]).length;
  return html`
    <div class="filters" role="group" aria-label="Filters">
      ${filter("status", "Status", "statuses", [...STATUSES.map((status) => [status, capital(status)]), ...SEVERAL])}
      ${filter("job_type", "Type", "types", (team?.types ?? []).map((type) => [type.job_type, type.label]))}
      ${filter("project_id", "Project", "projects", projectChoices(projects), team?.hasMore ? projectFinder(teamId) : null)}
      ${filter("since", "Time", "times", SINCE)}
      <button class="plain" type="button" aria-expanded=${isOpen} onClick=${() => setOpen(!isOpen)}>More${rare > 0 ? ` (${rare})` : ""}</button>
      ${Object.keys(filtersOf(query)).length > 0 &&
      html`<button class="plain" type="button" onClick=${clearFilters}>Clear</button>`}
    </div>
    ${isOpen && html`<${Later} load=${MORE} query=${query} people=${peopleOf(team, me)} onChange=${change} teamOf=${query.team} />`}`;
}

/** `[caller, name]` of all who may have started a run. */
const peopleOf = (team, me) => {
  const { members, api_keys: keys } = team?.people ?? { members: [], api_keys: [] };
  const all = ["schedule", ...members.map(({ id }) => `manual:user:${id}`), ...keys.map(({ id }) => `manual:api_key:${id}`)];
  return all.map((by) => [by, nameOf(by, { people: team?.people, me })]);
};

function Filter({ text, what, value, choices, find, onChange }) {
  // The value in the address may not be among the choices. It is shown anyway, because the list is filtered by it.
  const shown = /^\d{4}-\d\d-\d\dT/.test(value) ? `Since ${moment(Date.parse(value))}` : value;
  const all = value && !choices.some(([choice]) => choice === value) ? [...choices, [value, shown]] : choices;
  return html`<${Choice} class=${value && "chosen"} aria-label=${text} first="${text}: any" choices=${all} ...${{ what, value, find, onChange }} />`;
}
