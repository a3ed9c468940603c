// The first steps of a project: from a provider's key to jobs that run by themselves. Each step is read from what the
// team has: nothing else remembers how far it is.

import { html, useState } from "./html.js";
import { AlertForm } from "./alertform.js";
import { api } from "./api.js";
import { Choice } from "./choice.js";
import { KeyForm } from "./keyform.js";
import { usePoll } from "./live.js";
import { isLive, progressOf } from "./parts.js";
import { Link, toRun, toTeam } from "./router.js";
import { ScheduleForm } from "./schedule.js";
import { projectChoices } from "./team.js";
import { Trigger } from "./trigger.js";

const EVERY_MS = 15_000;
const HIDDEN = "nightshift.first-steps-hidden";

/** `runs` are the newest runs of each project and type, the newest first. */
export function View({ me, team, known, runs, onChange }) {
  const [isHidden, setHidden] = useState(wasHidden);
  const choices = projectChoices(known.data.projects);
  const [projectId, setProject] = useState(choices[0][0]);
  if (isHidden) return null;
  const hide = () => {
    remember();
    setHidden(true);
  };
  const choice =
    choices.length > 1 &&
    html`
      <div class="field">
        <label for="first-of">Project</label>
        <${Choice} id="first-of" what="projects" value=${projectId} choices=${choices} onChange=${setProject} />
      </div>`;
  return html`<${OfProject} key=${projectId} onHide=${hide} ...${{ me, team, known, runs, projectId, choice, onChange }} />`;
}

function OfProject({ me, team, known, runs, projectId, choice, onHide, onChange }) {
  const [dialog, setDialog] = useState(null);
  const path = `v1/projects/${projectId}/integrations`;
  const keys = usePoll(path, (signal) => api("GET", path, { signal }), () => EVERY_MS);
  const planned = usePoll(`schedules:${team.id}`, (signal) => api("GET", `v1/teams/${team.id}/schedules`, { signal }), () => EVERY_MS);
  const watched = usePoll(`v1/teams/${team.id}/alerts`, (signal) => api("GET", `v1/teams/${team.id}/alerts`, { signal }), () => EVERY_MS);
  if (!keys.data || !planned.data || !watched.data) return null;
  const world = {
    types: known.data.types,
    runs: runs.filter((run) => run.project_id === projectId),
    schedules: planned.data.schedules.filter((schedule) => schedule.project_id === projectId),
    integrations: keys.data.integrations,
    alerts: watched.data.alerts.filter(({ project_ids: ids }) => !ids || ids.includes(projectId)),
  };
  const led = keys.data.providers.map((provider) => ({ provider, steps: stepsOf(provider, world) })).filter(isUnfinished);
  // With another project to choose, the choice stays, and so does an open dialog: it may show a secret.
  if (led.length === 0 && !choice && !dialog) return null;
  const close = () => {
    setDialog(null);
    [keys, planned, watched].forEach((poll) => poll.refresh());
    onChange();
  };
  const preset = { job_type: dialog?.type, project_id: projectId };
  return html`
    <section class="card steps" aria-labelledby="first-steps">
      <div class="line">
        <h2 id="first-steps">First steps</h2>
        <span class="gap"></span>
        <button class="plain" type="button" onClick=${onHide}>Hide</button>
      </div>
      ${choice}
      ${led.length === 0 && html`<p class="quiet">This project has taken all of them.</p>`}
      ${led.map(({ provider, steps }) => html`
        <ol aria-label="First steps with ${provider.label}">${steps.map((step) => html`<${Step} key=${step.name} step=${step} onAct=${setDialog} />`)}</ol>`)}
      ${dialog?.what === "key" && html`<${KeyForm} provider=${dialog.provider} path=${path} onClose=${close} onDone=${keys.refresh} />`}
      ${dialog?.what === "run" && html`<${Trigger} preset=${preset} onClose=${close} ...${{ me, team, known }} />`}
      ${dialog?.what === "schedule" && html`<${ScheduleForm} preset=${preset} known=${known.data} onClose=${close} ...${{ me, team }} />`}
      ${dialog?.what === "alert" && html`<${AlertForm} team=${team} known=${known.data} onClose=${close} onDone=${watched.refresh} />`}
    </section>`;
}

function Step({ step: { name, about, state, button, label = button, act }, onAct }) {
  return html`
    <li class=${state} aria-current=${state === "next" ? "step" : null}>
      <div>
        <h3>${name}${state === "done" && html` <span class="quiet">done</span>`}</h3>
        <p class="quiet">${about}</p>
      </div>
      ${act && html`<button class=${state === "next" ? "primary" : ""} type="button" aria-label=${label} onClick=${() => onAct(act)}>${button}</button>`}
    </li>`;
}

const isUnfinished = ({ steps }) => steps.some(({ state }) => state !== "done");

/**
 * The steps with a provider: its key, each of its jobs, a schedule for the last of them, and an alert. The first step
 * that is not done is the next one; those after it cannot be taken without a key.
 */
function stepsOf(provider, { types, runs, schedules, integrations, alerts }) {
  const jobs = types.filter((type) => type.provider === provider.provider);
  const last = jobs.at(-1);
  if (!last) return [];
  const stored = integrations.find((each) => each.provider === provider.provider);
  const steps = [keyStep(provider, stored)];
  // A job that has completed has found all that the jobs before it make.
  const completed = jobs.findLastIndex((type) => runs.some((run) => run.job_type === type.job_type && run.status === "completed"));
  jobs.forEach((type, index) => steps.push(jobStep(type, runs, index <= completed)));
  steps.push({
    name: `Let ${last.label} run by itself`,
    about: "A schedule starts it, for example every night at three o'clock of your own time zone.",
    isDone: schedules.some((schedule) => jobs.some((type) => type.job_type === schedule.job_type)),
    button: "Make a schedule",
    act: { what: "schedule", type: last.job_type },
  });
  steps.push({
    name: "Hear of failures",
    about: "An alert tells the team by mail, in Slack or at a webhook, so that people need not look.",
    isDone: alerts.length > 0,
    button: "Make an alert",
    act: { what: "alert" },
  });
  const next = steps.findIndex(({ isDone }) => !isDone);
  return steps.map(({ isDone, act, ...step }, index) => ({
    ...step,
    state: isDone ? "done" : index === next ? "next" : "later",
    act: !isDone && (index === 0 || steps[0].isDone) ? act : null,
  }));
}

function keyStep(provider, stored) {
  const about = !stored
    ? `It is tested at once, encrypted, and cannot be read again.`
    : stored.enabled
    ? html`The key is stored. <${Link} href=${toTeam()}>Change or test it<//>`
    : html`The integration is disabled. <${Link} href=${toTeam()}>Enable it<//>`;
  return {
    name: `Store a key of ${provider.label}`,
    about,
    isDone: Boolean(stored?.enabled),
    button: "Add key",
    act: stored ? null : { what: "key", provider },
  };
}

function jobStep(type, runs, isDone) {
  const newest = runs.find((run) => run.job_type === type.job_type);
  const about = isDone || !newest ? type.description : html`<${Link} href=${toRun(newest.id)}>${stateOf(newest)}<//>`;
  const act = newest && isLive(newest) ? null : { what: "run", type: type.job_type };
  return { name: `Run ${type.label}`, about, isDone, button: "Run", label: `Run ${type.label}`, act };
}

function stateOf(run) {
  if (isLive(run)) return `Running: ${progressOf(run).words}`;
  return run.error ? `It has ${run.status}: ${run.error}` : `It was ${run.status}.`;
}

function wasHidden() {
  try {
    return Boolean(sessionStorage[HIDDEN]);
  } catch {
    return false;
  }
}

/** Where the browser allows no storage, the steps are hidden until the page is loaded again. */
function remember() {
  try {
    sessionStorage[HIDDEN] = "yes";
  } catch {}
}
