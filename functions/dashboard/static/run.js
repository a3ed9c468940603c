// The page of a run: its progress, why it is not making progress, its timeline, and the actions on it.

import { html, useEffect, useRef } from "./html.js";
import { Cancel, Rerun } from "./actions.js";
import { api, now } from "./api.js";
import { duration, moment, rate, roughly } from "./format.js";
import { usePoll, useTick } from "./live.js";
import { Log } from "./log.js";
import { Announce, Bar, Copy, Countdown, isLive, progressOf, Project, Status, Took } from "./parts.js";
import { paceOf } from "./pace.js";
import { nameOf } from "./people.js";
import { Link, toList, toRun, toSchedules } from "./router.js";
import { Timeline } from "./slices.js";
import { Instead, isGone, Stale } from "./states.js";
import { typeOf, useProjects, useTeam } from "./team.js";
import { json, Values } from "./values.js";

const LIVE_MS = 2_000;
// Often enough for the title of a hidden tab to show that the run has ended.
const UNSEEN_MS = 30_000;
// These states are shown only after this time: steps and queueing take some time even when all is well.
const UNREMARKABLE_MS = { running: 30_000, queued: 5_000 };

export function Run({ me, id }) {
  const poll = usePoll(
    `run:${id}`,
    async (signal) => {
      const [{ job_run: run }, timeline] = await Promise.all([
        api("GET", `v1/jobs/${id}`, { signal }),
        api("GET", `v1/jobs/${id}/timeline`, { signal }),
      ]);
      return { run, timeline };
    },
    // The two requests run concurrently, so the run may have ended in one response and not yet in the other.
    ({ run, timeline }) => (isLive(run) || timeline.state !== "ended" ? LIVE_MS : Infinity),
    { unseenMs: UNSEEN_MS },
  );
  const known = useTeam(poll.data?.run.team_id ?? null);
  if (isGone(poll)) return html`<${Instead} poll=${poll} what="run" />`;
  if (isGone(known)) return html`<${Instead} poll=${known} what="team" />`;
  if (!poll.data || !known.data) return html`<${Skeleton} />`;
  return html`
    <${Page} ...${poll.data} known=${known.data} me=${me} onChange=${poll.refresh} />
    <${Stale} poll=${poll} />`;
}

function Page({ run, timeline, known, me, onChange }) {
  const { label } = typeOf(run.job_type, known);
  const team = me.teams.find((each) => each.id === run.team_id);
  const title = useRef();
  const project = useProjects(run.team_id, [run.project_id], known)(run.project_id);
  const { value, max } = progressOf(run);
  const percent = Math.floor((100 * value) / max);
  const asked = Boolean(timeline.cancel_requested_at);
  useEffect(() => title.current.focus({ preventScroll: true }), []);
  // The focused button disappears or is disabled.
  useEffect(() => {
    if (document.activeElement === document.body) title.current.focus({ preventScroll: true });
  }, [isLive(run), asked]);
  useEffect(() => {
    document.title = `${isLive(run) ? `${percent} % · ` : ""}${label} ${run.status} · Nightshift`;
  });
  return html`
    <nav aria-label="Breadcrumb"><${Link} href=${toList(me.teams.length > 1 ? team?.slug : undefined)}>Runs<//></nav>
    <div class="heading">
      <h1 ref=${title} tabindex="-1">${label}</h1>
      <${Status} of=${run.status} waits=${run.waiting_for} />
      <${Project} of=${project} />
      <span class="gap"></span>
      ${me.mayWrite && (isLive(run)
        ? html`<${Cancel} run=${run} asked=${asked} onDone=${onChange} />`
        : html`<${Rerun} run=${run} type=${typeOf(run.job_type, known)} />`)}
    </div>
    <${Announce} text="${label} is ${run.status}" />
    <div class="columns">
      <div>
        <${Measure} run=${run} timeline=${timeline} percent=${percent} label=${label} />
        <${Why} run=${run} timeline=${timeline} />
        ${run.error && html`<section class="card bad"><h2>Error</h2><pre class="error">${run.error}</pre></section>`}
        ${run.result != null &&
        html`
          <section class="card">
            <h2>Result <${Copy} text=${() => json(run.result)} what="result" /></h2>
            <${Values} of=${run.result} />
          </section>`}
        <${Log} run=${run} timeline=${timeline} />
        <${Timeline} run=${run} timeline=${timeline} by=${(who) => nameOf(who, { people: known.people, me })} />
      </div>
      <aside>
        <${Facts} ...${{ run, timeline, known, me, team }} />
        <${Params} of=${run.params} />
      </aside>
    </div>`;
}

function Measure({ run, timeline, percent, label }) {
  const pace = usePace(run, timeline);
  const { words, message, value } = progressOf(run);
  return html`
    <section class="card measure-card" aria-label="Progress">
      <div class="line">
        <strong class="figures" translate=${!run.progress}>${words}</strong>
        ${value !== null && run.progress && html`<span class="figures quiet" translate=${false}>${percent} %</span>`}
        <span class="gap"></span>
        <span class="figures quiet">${pace}</span>
      </div>
      <${Bar} run=${run} label="Progress of ${label}" />
      <p class="said">${message || "\u00a0"}</p>
    </section>`;
}

// States in which past progress does not predict the rest. "queued" is missing: it occurs briefly between two slices.
const STANDING = ["waiting", "recovering", "cancelling"];

/** `12 a second · about 40 s left`, from what this page has observed; empty while that is too little. */
function usePace(run, timeline) {
  const seen = useRef([]);
  useTick(1_000, isLive(run));
  if (!isLive(run) || !run.progress || STANDING.includes(timeline.state)) {
    seen.current = [];
    return "";
  }
  const { processed, total } = run.progress;
  if (seen.current.at(-1)?.processed !== processed) seen.current.push({ at: now(), processed });
  const pace = paceOf(seen.current, now());
  if (!pace) return "";
  return `${rate(pace)} · ${roughly(((total - processed) / pace) * 1_000)} left`;
}

const STATES = { __proto__: null, queued: "Queued", waiting: "Waiting", recovering: "Recovering", cancelling: "Asked to stop", running: "No step for a while" };

/** Why the run is not making progress; nothing while it does, or after it has ended. */
function Why({ run, timeline: { state, why, since, until } }) {
  useTick(1_000, isLive(run));
  const silentMs = since ? now() - Date.parse(since) : 0;
  if (!isLive(run) || !STATES[state] || silentMs < UNREMARKABLE_MS[state]) return null;
  return html`
    <section class="notice ${state}" aria-label="Why there is no progress">
      <p><strong>${STATES[state]}</strong> ${why}</p>
      <p class="quiet">${until ? html`<${Countdown} at=${until} />` : html`For <span class="figures" translate=${false}>${duration(silentMs)}</span>`}</p>
    </section>`;
}

function Facts({ run, timeline, known, me, team }) {
  const { rerun_of: before, logs_url: logs } = timeline;
  const fact = (name, value) => value && html`<div><dt>${name}</dt><dd>${value}</dd></div>`;
  return html`
    <section class="card">
      <h2>Run</h2>
      <dl class="facts">
        ${fact("Team", team && html`<bdi>${team.name}</bdi>`)}
        ${fact("Triggered by", run.schedule_id ? html`<${Link} href=${toSchedules()}>a schedule<//>` : nameOf(run.triggered_by, { people: known.people, me }))}
        ${fact("Triggered", html`<${At} at=${run.created_at} />`)}
        ${fact("Started", run.started_at && html`<${At} at=${run.started_at} />`)}
        ${fact("Ended", run.completed_at && html`<${At} at=${run.completed_at} />`)}
        ${fact(isLive(run) ? "Running for" : "Took", run.started_at && html`<${Took} from=${run.started_at} to=${run.completed_at} />`)}
        ${fact("Mail when done", timeline.mail_stopped || (run.notify ? "Yes" : "No"))}
        ${fact("Rerun of", before && html`<${Link} href=${toRun(before)}>an earlier run<//>`)}
        ${fact("Logs", logs && (/^https?:/.test(logs) ? html`<a href=${logs} target="_blank" rel="noopener noreferrer">Log lines</a>` : html`<code translate=${false}>${logs}</code>`))}
        ${fact("Id", html`<code translate=${false}>${run.id}</code> <${Copy} text=${() => run.id} what="run id" />`)}
      </dl>
    </section>`;
}

const At = ({ at }) => html`<time datetime=${at}>${moment(Date.parse(at))}</time>`;

function Params({ of: { project_id: _, ...params } }) {
  if (Object.keys(params).length === 0) return null;
  return html`<section class="card"><h2>Parameters</h2><${Values} of=${params} /></section>`;
}

const Skeleton = () => html`
  <${Announce} text="Loading" />
  <nav aria-label="Breadcrumb"><${Link} href=${toList()}>Runs<//></nav>
  <div class="heading skeleton"><span class="wide"></span></div>
  <div class="columns skeleton" aria-hidden="true">
    <div><section class="card"><span></span><span></span></section><section class="card tall"><span></span><span></span><span></span></section></div>
    <aside><section class="card tall"><span></span><span></span><span></span></section></aside>
  </div>`;
