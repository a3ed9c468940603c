// The audit of a team: who made, changed, stored or ended what. Runs say themselves who started and cancelled them.

import { html, useEffect, useState } from "./html.js";
import { api } from "./api.js";
import { capital, label, sentence } from "./format.js";
import { usePoll } from "./live.js";
import { Ago } from "./parts.js";
import { nameOf } from "./people.js";

const PAGE = 20;
const EVERY_MS = 60_000;

/** `changed` grows with each change on this page. */
export function Changes({ team, known, me, changed }) {
  const path = `v1/teams/${team.id}/audit`;
  const poll = usePoll(path, (signal) => api("GET", path, { query: { limit: PAGE }, signal }), () => EVERY_MS);
  useEffect(() => void (changed && poll.refresh()), [changed]);
  const [older, setOlder] = useState({ entries: [], cursor: undefined });
  const cursor = older.cursor === undefined ? poll.data?.cursor : older.cursor;
  const more = async () => {
    setOlder({ ...older, loading: true });
    try {
      const next = await api("GET", path, { query: { limit: PAGE, cursor } });
      setOlder({ entries: [...older.entries, ...next.entries], cursor: next.cursor });
    } catch (error) {
      setOlder({ ...older, problem: error.message });
    }
  };
  const first = poll.data?.entries ?? [];
  // An entry that is new since then has moved the last one of the first page.
  const entries = [...first, ...older.entries.filter(({ id }) => !first.some((each) => each.id === id))];
  return html`
    <section class="card" aria-labelledby="changes">
      <h2 id="changes">Changes</h2>
      <p class="hint">Kept for a year. Who started or cancelled a run is on the run's own page.</p>
      ${!poll.data && (poll.error ? html`<p role="alert">${sentence(poll.error.message)}</p>` : html`<p class="quiet" role="status">Loading …</p>`)}
      ${poll.data && entries.length === 0 && html`<p class="quiet">No changes yet.</p>`}
      ${entries.length > 0 &&
      html`
        <div class="scroll" tabindex="0" role="region" aria-labelledby="changes">
          <table class="values">
            <thead><tr><th scope="col">When</th><th scope="col">By</th><th scope="col">Change</th><th scope="col">Details</th></tr></thead>
            <tbody>${entries.map((entry) => html`<${Entry} key=${entry.id} ...${{ entry, known, me }} />`)}</tbody>
          </table>
        </div>`}
      ${cursor &&
      html`
        <div class="more">
          <button type="button" disabled=${older.loading} onClick=${more}>${older.loading ? "Loading …" : "Load more"}</button>
          ${older.problem && html`<p role="alert">${older.problem}</p>`}
        </div>`}
    </section>`;
}

function Entry({ entry, known, me }) {
  const by = entry.actor === "operator" ? "system" : `manual:${entry.actor}`;
  return html`
    <tr>
      <td><${Ago} at=${entry.occurred_at} /></td>
      <td><bdi>${nameOf(by, { people: known.people, me })}</bdi></td>
      <td>${capital(entry.action.replace(/[._]/g, " "))}</td>
      <td class="quiet"><bdi>${detailsOf(entry, known)}</bdi></td>
    </tr>`;
}

/** `Project: Acme, Provider: revenuecat`. */
function detailsOf({ details }, { projects }) {
  const named = Object.entries(details).flatMap(([name, value]) => {
    if (value === null || value === false || (typeof value === "object" && !Array.isArray(value) && Object.keys(value).length === 0)) return [];
    if (name === "project_id") return [["project", projects.find(({ id }) => id === value)?.name ?? value]];
    return [[name, Array.isArray(value) ? value.join(", ") : typeof value === "object" ? JSON.stringify(value) : value]];
  });
  return named.map(([name, value]) => `${label(name)}: ${value}`).join(", ");
}
