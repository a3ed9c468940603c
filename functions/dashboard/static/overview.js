// The overview of a team: is its data fresh, and do its jobs work?

import { html, useEffect, useRef, useState } from "./html.js";
import { api, now } from "./api.js";
import { duration, moment, number, roughly, sentence } from "./format.js";
import { Later } from "./later.js";
import { useTick, usePoll } from "./live.js";
import { Ago, Announce, Bar, Blank, progressOf, Project } from "./parts.js";
import { hasMoved, Link, toList, toRun, toSchedules } from "./router.js";
import { Instead, isGone, Stale } from "./states.js";
import { dayName, Strip, StripTable } from "./strip.js";
import { Paused, typeOf, useTeam } from "./team.js";
import { Views } from "./views.js";

const EVERY_MS = 30_000;
// A team with few projects and few runs may still be at its first steps.
const FEW_PROJECTS = 20;
const FEW_RUNS = 30;
const FIRST_STEPS = () => import("./firststeps.js");
const TRIGGER = () => import("./trigger.js");

// For each state, the class of its colour and its name.
const STATES = {
  __proto__: null,
  failing: ["failed", "Failing"],
  late: ["pending", "Late"],
  new: ["cancelled", "No success yet"],
  fresh: ["completed", "Fresh"],
  unscheduled: ["completed", "Succeeded"],
};

export function Overview({ me, team }) {
  const [dialog, setDialog] = useState(null);
  const known = useTeam(team.id);
  const path = `v1/teams/${team.id}/jobs/summary`;
  const poll = usePoll(path, (signal) => api("GET", path, { signal }), () => EVERY_MS);
  const title = useRef();
  useEffect(() => {
    if (hasMoved() && document.activeElement === document.body) title.current?.focus({ preventScroll: true });
  }, []);
  useEffect(() => void (document.title = `Overview · ${team.name} · Nightshift`), [team.name]);
  const failed = [known, poll].find(isGone);
  if (failed) return html`<${Instead} poll=${failed} what="team" />`;
  const mayRun = me.mayWrite && known.data?.projects.length > 0 && known.data.types.length > 0;
  const isLoaded = known.data && poll.data;
  const mayBeNew = isLoaded && mayRun && me.mayLead && known.data.projects.length <= FEW_PROJECTS && countOf(poll.data.jobs) <= FEW_RUNS;
  return html`
    <${Views} current="overview" />
    <div class="heading">
      <h1 ref=${title} tabindex="-1">Overview</h1>
      ${mayRun && html`<button class="primary" type="button" onClick=${() => setDialog({})}>Run job</button>`}
    </div>
    ${known.data?.types.filter((type) => type.paused).map((type) => html`<${Paused} type=${type} team=${known.data} me=${me} />`)}
    ${mayBeNew && html`<${Later} load=${FIRST_STEPS} runs=${runsOf(poll.data.jobs)} onChange=${poll.refresh} ...${{ me, team, known }} />`}
    ${!isLoaded && html`<${Skeleton} />`}
    ${isLoaded && poll.data.jobs.length === 0 && html`<${Empty} known=${known.data} onRun=${mayRun && (() => setDialog({}))} />`}
    ${isLoaded && poll.data.jobs.length > 0 && html`<${Jobs} of=${poll.data} known=${known.data} />`}
    <${Stale} poll=${poll} />
    ${dialog && html`<${Later} load=${TRIGGER} onClose=${() => setDialog(null)} ...${{ me, team, known }} />`}`;
}

function Jobs({ of: { days, jobs, states, jobs_left_out: leftOut, counted_until: until, ...rest }, known }) {
  const verdict = verdictOf(states);
  return html`
    <${Announce} text=${verdict} />
    <p class="verdict">${verdict} <span class="quiet">${`Days are those of UTC, from ${dayName(days[0])} to today.`}</span></p>
    ${until && html`<p class="notice">Runs that ended after <${At} at=${until} /> are not in the figures yet. The next minutes add them.</p>`}
    <ul class="jobs" aria-label="Jobs">
      ${jobs.map((job) => html`<${Job} key=${`${job.project_id} ${job.job_type}`} ...${{ job, days, known }} />`)}
    </ul>
    ${leftOut > 0 && html`<p class="quiet">${number(leftOut)} more jobs, which need no look before these, are not shown.</p>`}
    ${rest.errors.length > 0 && html`<${Errors} ...${{ ...rest, days, known }} />`}`;
}

function Job({ job, days, known }) {
  const [isOpen, setOpen] = useState(false);
  const { label } = typeOf(job.job_type, known);
  const [tone, name] = STATES[job.state] ?? ["cancelled", job.state];
  const project = known.projects.find(({ id }) => id === job.project_id) ?? { name: job.project };
  const runs = toList(undefined, { job_type: job.job_type, project_id: job.project_id });
  return html`
    <li class="card job-card">
      <div class="what">
        <h2><${Link} href=${runs}>${label}<//></h2>
        <p><${Project} of=${project} /></p>
        <span class="status ${tone}"><i aria-hidden="true"></i>${name}</span>
      </div>
      <${Strip} days=${days} job=${job} />
      <dl class="figures">
        ${fact("Last success", job.last_completed ? html`<${Link} href=${toRun(job.last_completed.run_id)}><${Ago} at=${job.last_completed.at} /><//>` : "—")}
        ${fact("Last failure", job.last_failed ? html`<${Link} href=${toRun(job.last_failed.run_id)}><${Ago} at=${job.last_failed.at} /><//>` : "—")}
        ${fact("Next", job.next ? html`<${Until} at=${job.next.at} />` : html`<${Link} href=${toSchedules()}>No schedule<//>`)}
        ${fact("Success", job.success_rate === null ? "—" : percent(job.success_rate))}
        ${fact("Duration", job.median_ms === null ? "—" : html`${duration(job.median_ms)}${trendOf(job)}`)}
        ${fact("Waited", job.waited_ms === null ? "—" : duration(job.waited_ms))}
      </dl>
      ${job.live && html`<${Live} of=${job.live} label=${label} />`}
      ${job.state === "failing" && html`<p class="said bad"><bdi>${job.last_failed.error}</bdi></p>`}
      <details onToggle=${(event) => setOpen(event.currentTarget.open)}>
        <summary>Figures by day<span class="unseen">${` of ${label}, ${job.project}`}</span></summary>
        ${isOpen && html`<div class="scroll" tabindex="0" role="region" aria-label="Figures by day"><${StripTable} days=${days} job=${job} label=${label} /></div>`}
      </details>
    </li>`;
}

const fact = (name, value) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`;

function Live({ of: run, label }) {
  const { words } = progressOf(run);
  return html`
    <p class="now">
      <${Link} href=${toRun(run.run_id)}>${run.status === "pending" ? "Pending" : "Running"}<//>
      <${Bar} run=${run} label="Progress of ${label}" />
      <span class="quiet">${words}</span>
    </p>`;
}

function Errors({ errors, failures_looked_at: looked, has_more_failures: hasMore, days, known }) {
  return html`
    <section class="card errors" aria-labelledby="errors">
      <h2 id="errors">Errors</h2>
      <p class="hint">
        ${`${hasMore ? `The newest ${number(looked)} failed runs` : `${number(looked)} failed ${looked === 1 ? "run" : "runs"}`} of these days, by error.`}
      </p>
      <ul>
        ${errors.map((group) => html`
          <li key=${`${group.job_type} ${group.error}`}>
            <p><strong class="figures">${`${number(group.runs)} ×`}</strong> <bdi>${group.error}</bdi></p>
            <p class="quiet">${sentence(group.advice)}</p>
            <p class="quiet">
              ${`${typeOf(group.job_type, known).label}, ${number(group.projects)} ${group.projects === 1 ? "project" : "projects"}. `}
              <${Link} href=${toRun(group.last_run_id)}>Last run<//>, <${Ago} at=${group.last_at} />.${" "}
              <${Link} href=${toList(undefined, { status: "failed", job_type: group.job_type, since: `${days.length}d` })}>All failed runs<//>
            </p>
          </li>`)}
      </ul>
    </section>`;
}

const At = ({ at }) => html`<time datetime=${at}>${moment(Date.parse(at))}</time>`;

/** The time until a slot: `in about 3 h`. */
function Until({ at }) {
  useTick(15_000);
  const left = Date.parse(at) - now();
  return html`<time datetime=${at} title=${moment(Date.parse(at))}>${left > 0 ? `in ${roughly(left)}` : "Due now"}</time>`;
}

/** `96 %`. A rate is 100 % only if no run failed, and 0 % only if all did. */
const percent = (rate) => `${rate > 0 && rate < 1 ? Math.min(99, Math.max(1, Math.round(rate * 100))) : rate * 100} %`;

function trendOf(job) {
  if (job.trend === null || job.trend === "steady") return null;
  const mark = job.trend === "slower" ? "▲" : "▼";
  const said = `${duration(job.recent_median_ms)} in the last seven days, ${duration(job.earlier_median_ms)} in the seven before`;
  return html` <span class="trend ${job.trend}" title=${said}><span aria-hidden="true">${mark}</span> ${job.trend}</span>`;
}

/** What an admin wants to know first. */
function verdictOf({ failing, late, new: none, ...others }) {
  const working = Object.values(others).reduce((total, each) => total + each, 0);
  const all = failing + late + none + working;
  const jobs = (count) => `${number(count)} ${count === 1 ? "job" : "jobs"}`;
  const bad = [[failing, "failing"], [late, "late"], [none, "without a success yet"]].filter(([count]) => count > 0);
  if (bad.length === 0) return all === 1 ? "The job works." : `All ${jobs(all)} work.`;
  return `Of ${jobs(all)}, ${bad.map(([count, words]) => `${number(count)} ${count === 1 ? "is" : "are"} ${words}`).join(", ")}.`;
}

const countOf = (jobs) => jobs.reduce((total, job) => total + job.completed.concat(job.failed, job.cancelled).reduce((sum, each) => sum + each, 0), 0);

/** For each job its newest runs as far as the overview knows them, the newest first. */
function runsOf(jobs) {
  return jobs.flatMap(({ project_id, job_type, live, last_completed: completed, last_failed: failed }) =>
    [
      live && { ...live, at: "9" },
      completed && { ...completed, status: "completed" },
      failed && { ...failed, status: "failed" },
    ]
      .filter(Boolean)
      .sort((one, other) => (one.at < other.at ? 1 : -1))
      .map((run) => ({ ...run, id: run.run_id, project_id, job_type })),
  );
}

function Empty({ known, onRun }) {
  if (known.projects.length === 0)
    return html`<${Blank} title="No project yet">Jobs run for a project. Once this team has a project, you can start jobs here.<//>`;
  return html`
    <${Blank} title="Nothing has run yet"
      actions=${onRun && html`<button class="primary" type="button" onClick=${onRun}>Run the first job</button>`}>
      Jobs appear here once they have run or have a schedule.
    <//>`;
}

const Skeleton = () => html`
  <${Announce} text="Loading" />
  <div class="skeleton" aria-hidden="true">${[0, 1, 2].map((each) => html`<section key=${each} class="card"><span></span><span></span></section>`)}</div>`;
