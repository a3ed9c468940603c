// The list of runs: newest first, kept up to date, with the filters of the address.

import { html, useEffect, useRef, useState } from "./html.js";
import { api, now } from "./api.js";
import { clearFilters, Filters, filtersOf } from "./filters.js";
import { moment, number, sentence } from "./format.js";
import { usePoll } from "./live.js";
import { Ago, Announce, Bar, Blank, isLive, progressOf, Project, Status, Took } from "./parts.js";
import { nameOf } from "./people.js";
import { hasMoved, Link, toRun } from "./router.js";
import { Selection, useSelection } from "./selection.js";
import { Instead, isGone, Stale } from "./states.js";
import { Paused, typeOf, useProjects, useTeam } from "./team.js";
import { Trigger } from "./trigger.js";
import { Views } from "./views.js";

const PAGE = 30;
// The API's largest page.
const MOST = 200;
const BUSY_MS = 2_000;
const IDLE_MS = 15_000;
// Each live run is sent with each answer, so a page with many of them asks less often.
const EACH_LIVE_MS = 60;
// The page asks for what has changed since it loaded all its runs, and loads them all again after this time: retention
// may have deleted some.
const WHOLE_MS = 600_000;
// An ending may be committed two minutes after its time, and clocks differ.
const LATE_MS = 180_000;
// Scrolled further down than this, new runs are not shown until the user asks: the rows being read must not move.
const READING_PX = 160;

export function View({ me, team, query }) {
  const [dialog, setDialog] = useState(false);
  const known = useTeam(team.id);
  const filters = filtersOf(query);
  const selection = useSelection(`${new URLSearchParams(filters)}`);
  const key = `runs:${team.id}?${new URLSearchParams(filters)}`;
  const list = usePoll(
    key,
    async (signal, shown) => {
      const limit = Math.min(MOST, Math.max(PAGE, shown()?.rows.length ?? 0));
      const whole = wholeSince(shown());
      const query = { ...filters, changed_since: whole?.since };
      let fresh = await page(team, { ...query, limit }, signal);
      // Runs below this page that were live when they were loaded may have ended.
      while (fresh.has_more && shown()?.rows.some((run) => isLive(run) && isBelow(run, fresh.cursor))) {
        const next = await page(team, { ...query, limit: MOST, cursor: fresh.cursor }, signal);
        fresh = { ...next, rows: [...fresh.rows, ...next.rows] };
      }
      if (whole) fresh.rows = completed(fresh, shown().rows);
      return { ...merged(shown(), fresh), whole: whole ?? { at: Date.now(), since: new Date(now() - LATE_MS).toISOString() } };
    },
    ({ rows }) => (rows.some(isLive) ? Math.max(BUSY_MS, EACH_LIVE_MS * rows.filter(isLive).length) : IDLE_MS),
  );
  const title = useRef();
  // The link or button that led here has disappeared with its page.
  useEffect(() => {
    if (hasMoved() && document.activeElement === document.body) title.current?.focus({ preventScroll: true });
  }, []);
  useEffect(() => void (document.title = `Runs · ${team.name} · Nightshift`), [team.name]);

  const failed = [known, list].find(isGone);
  // The team exists, so the list's error is about its filters.
  const isNonsense = failed === list && [400, 404].includes(list.error.status);
  if (failed && !isNonsense) return html`<${Instead} poll=${failed} what="team" />`;
  const mayRun = me.mayWrite && known.data?.projects.length > 0 && known.data.types.length > 0;
  return html`
    <${Views} current="runs" />
    <div class="heading">
      <h1 ref=${title} tabindex="-1">Runs</h1>
      ${mayRun && html`<button type="button" aria-pressed=${selection.isOpen} onClick=${selection.toggle}>Select</button>`}
      ${mayRun && html`<button class="primary" type="button" onClick=${() => setDialog(true)}>Run job</button>`}
    </div>
    ${known.data?.types.filter((type) => type.paused).map((type) => html`<${Paused} type=${type} team=${known.data} me=${me} />`)}
    <${Filters} query=${query} teamId=${team.id} team=${known.data} me=${me} />
    ${mayRun && selection.isOpen && list.data &&
    html`<${Selection} rows=${list.data.rows} onChange=${list.refresh} ...${{ team, selection, filters }} />`}
    ${isNonsense
      ? html`<${Nonsense} why=${list.error.message} />`
      : html`<${List} key=${key} list=${list} isCurrent=${list.key === key} ...${{ me, team, known: known.data, filters, selection }}
          onRun=${mayRun && (() => setDialog(true))} />`}
    ${!isNonsense && html`<${Stale} poll=${list} />`}
    ${dialog && html`<${Trigger} me=${me} team=${team} known=${known} onClose=${() => setDialog(false)} />`}`;
}

function List({ list, isCurrent, me, team, known, filters, selection, onRun }) {
  const { shown, held, show } = useHeld(list.data?.rows);
  const [more, setMore] = useState({});
  const said = useEndings(list.data?.rows, known);
  const projectOf = useProjects(team.id, shown.map((run) => run.project_id), known);
  const loadMore = async () => {
    setMore({ loading: true });
    try {
      const { cursor } = list.data;
      const next = await page(team, { ...filters, limit: PAGE, cursor });
      list.update((before) => (before.cursor === cursor ? joined(before, next) : before));
      setMore({});
    } catch (error) {
      setMore({ problem: error.message });
    }
  };

  if (!list.data || !known) return html`<${Skeleton} />`;
  if (list.data.rows.length === 0 && isCurrent && !list.data.has_more) return html`<${Empty} ...${{ known, filters, onRun }} />`;
  return html`
    <${Announce} text=${said} />
    ${held > 0 && html`<button class="fresh" type="button" onClick=${show}>${held} new ${held === 1 ? "run" : "runs"}</button>`}
    ${list.data.searched && html`<${Searched} of=${list.data.searched} />`}
    ${list.data.rows.length > 0 &&
    html`
      <${Table} busy=${!isCurrent} selects=${selection.isOpen}>
        ${shown.map((run) => html`<${Row} key=${run.id} ...${{ run, project: projectOf(run.project_id), known, me, selection }} />`)}
      <//>`}
    ${list.data.has_more &&
    html`
      <div class="more">
        <button type="button" onClick=${loadMore} disabled=${more.loading || !isCurrent}>${more.loading ? "Loading …" : list.data.searched ? "Look further back" : "Load more"}</button>
        ${more.problem && html`<p role="alert">${more.problem}</p>`}
      </div>`}`;
}

// Explicit roles: on phones, CSS turns rows into cards, and a changed `display` removes a table's implicit roles.
// The class of a column is also that of its cells.
const COLUMNS = {
  state: "Status", job: "Job", of: "Project", by: "Triggered by", progress: "Progress", took: "Duration", when: "When",
};
const Table = ({ busy, selects, children }) => html`
  <table class="runs ${busy ? "busy" : ""}" role="table" aria-label="Runs" aria-busy=${busy}>
    <thead role="rowgroup">
      <tr role="row">${selects && html`<th role="columnheader" scope="col" class="pick"><span class="unseen">Selected</span></th>`}${Object.entries(COLUMNS).map(([column, name]) => html`<th role="columnheader" scope="col" class=${column}>${name}</th>`)}</tr>
    </thead>
    <tbody role="rowgroup">${children}</tbody>
  </table>`;

function Row({ run, project, known, me, selection }) {
  const { label } = typeOf(run.job_type, known);
  const pick = (event) => selection.set([run.id], event.target.checked);
  return html`
    <tr role="row">
      ${selection.isOpen &&
      html`<td role="cell" class="pick"><input type="checkbox" checked=${selection.has(run.id)} onChange=${pick} aria-label="Select ${label} of ${project?.name ?? "a deleted project"}, ${run.status}" /></td>`}
      <td role="cell" class="state"><${Status} of=${run.status} waits=${run.waiting_for} /></td>
      <td role="cell" class="job"><${Link} href=${toRun(run.id)}>${label}<//></td>
      <td role="cell" class="of"><${Project} of=${project} /></td>
      <td role="cell" class="by" translate=${false}>${nameOf(run.triggered_by, { people: known.people, me })}</td>
      <td role="cell" class="progress"><${Progress} run=${run} label="Progress of ${label}" /></td>
      <td role="cell" class="took"><${Took} from=${run.started_at} to=${run.completed_at} /></td>
      <td role="cell" class="when"><${Ago} at=${run.created_at} /></td>
    </tr>`;
}

function Progress({ run, label }) {
  const { words, message } = progressOf(run);
  const said = run.error ?? (message || (run.status === "pending" && !run.progress ? "Not started" : ""));
  return html`
    <div class="measure">
      <${Bar} run=${run} label=${label} />
      <span class="figures" translate=${false}>${run.progress ? words : ""}</span>
    </div>
    <p class="said ${run.error ? "bad" : ""}" title=${said}>${said || "\u00a0"}</p>`;
}

const Skeleton = () => html`
  <${Announce} text="Loading" />
  <${Table} busy=${true}>
    ${[0, 1, 2, 3, 4, 5].map(() => html`
      <tr role="row" class="skeleton">${Object.keys(COLUMNS).map(() => html`<td role="cell"><span></span></td>`)}</tr>`)}
  <//>`;

function Empty({ known, filters, onRun }) {
  if (known.projects.length === 0)
    return html`<${Blank} title="No project yet">Jobs run for a project. Once this team has a project, you can start jobs here.<//>`;
  if (Object.keys(filters).length > 0)
    return html`
      <${Blank} title="No runs match" actions=${html`<button type="button" onClick=${clearFilters}>Clear filters</button>`}>
        None of this team's runs match these filters.
      <//>`;
  return html`
    <${Blank} title="Nothing has run yet"
      actions=${onRun && html`<button class="primary" type="button" onClick=${onRun}>Run the first job</button>`}>
      Runs appear here as soon as they are started, with their progress.
    <//>`;
}

const Searched = ({ of: { runs, back_to: to } }) => html`
  <p class="hint searched" role="status">Looked at the newest ${number(runs)} runs that match the other filters${to && `, back to ${moment(Date.parse(to))}`}.</p>`;

const Nonsense = ({ why }) => html`
  <${Blank} tone="warn" title="These filters are not valid"
    actions=${html`<button type="button" onClick=${clearFilters}>Clear filters</button>`}>${sentence(why)}<//>`;

const page = async (team, query, signal) => {
  const { job_runs: rows, cursor, has_more, searched } = await api("GET", `v1/teams/${team.id}/jobs`, { query, signal });
  return { rows, cursor, has_more, searched };
};

/** When all rows were loaded, if that is not too long ago. */
const wholeSince = (shown) => (shown?.whole && Date.now() - shown.whole.at < WHOLE_MS ? shown.whole : undefined);

/** Whether the run is on a later page than the one with this cursor; a page without a cursor is the last one. */
function isBelow(run, cursor) {
  const [created_at, id] = cursor?.split("|") ?? [];
  return Boolean(cursor) && isOlder(run, { created_at, id });
}

/** The rows of a page from its changed runs and the known ones. A known live run that is not among them has left the list. */
function completed({ rows: changed, cursor }, known) {
  const ids = new Set(changed.map((run) => run.id));
  const unchanged = known.filter((run) => !isLive(run) && !ids.has(run.id) && !isBelow(run, cursor));
  return [...changed, ...unchanged].sort((one, other) => (isOlder(one, other) ? 1 : -1));
}

/** A list with its next page. Of a search, also how far both looked together. */
function joined(before, next) {
  const searched = next.searched && { runs: before.searched.runs + next.searched.runs, back_to: next.searched.back_to ?? before.searched.back_to };
  return { ...before, ...next, searched, isFurther: Boolean(searched), rows: [...before.rows, ...next.rows] };
}

const isOlder = (run, than) => run.created_at < than.created_at || (run.created_at === than.created_at && run.id < than.id);

/** The newest page, followed by the older rows that are already loaded, if the two overlap. */
function merged(shown, fresh) {
  // A search that has looked further back keeps what it found there.
  if (shown?.isFurther) return { ...shown, rows: [...fresh.rows, ...shown.rows.filter((run) => !fresh.rows.some(({ id }) => id === run.id))] };
  const last = fresh.rows.at(-1);
  if (!shown || !last || !fresh.has_more) return fresh;
  const older = shown.rows.filter((run) => isOlder(run, last));
  return older.length > 0 && older.length < shown.rows.length ? { ...shown, rows: [...fresh.rows, ...older] } : fresh;
}

/** While the user reads further down, new runs are held back: `{shown, held, show}`. */
function useHeld(rows = []) {
  const [top, setTop] = useState(null);
  const latest = useRef();
  latest.current = rows[0]?.id ?? null;
  useEffect(() => {
    const look = () => setTop((held) => (scrollY > READING_PX ? (held ?? latest.current) : null));
    addEventListener("scroll", look, { passive: true });
    return () => removeEventListener("scroll", look);
  }, []);
  const held = Math.max(0, rows.findIndex((run) => run.id === top));
  return { shown: rows.slice(held), held, show: () => scrollTo(0, 0) };
}

/** An announcement of the runs that have just ended. */
function useEndings(rows = [], known) {
  const live = useRef(new Set());
  const said = useRef("");
  const over = rows.filter((run) => !isLive(run) && live.current.has(run.id));
  if (over.length) said.current = over.map((run) => `${typeOf(run.job_type, known).label} ${run.status}`).join(". ");
  live.current = new Set(rows.filter(isLive).map((run) => run.id));
  return said.current;
}
