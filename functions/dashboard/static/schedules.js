// The list of a team's schedules: when each starts next, what became of its last time, and the actions on it.

import { html, useEffect, useRef, useState } from "./html.js";
import { useAlone } from "./alone.js";
import { api } from "./api.js";
import { capital, moment, sentence } from "./format.js";
import { usePoll } from "./live.js";
import { Ago, Blank, Dialog, Problem, Project } from "./parts.js";
import { nameOf } from "./people.js";
import { Link, toRun } from "./router.js";
import { ScheduleForm } from "./schedule.js";
import { Instead, isGone, Stale } from "./states.js";
import { typeOf, useProjects, useTeam } from "./team.js";
import { Views } from "./views.js";

const EVERY_MS = 15_000;
const SLOTS = 30;
const OUTCOMES = { started: "Started", skipped: "Skipped", caught_up: "Started late", missed: "Missed" };

export function View({ me, team }) {
  const [open, setOpen] = useState(null);
  const known = useTeam(team.id);
  const list = usePoll(`schedules:${team.id}`, (signal) => api("GET", `v1/teams/${team.id}/schedules`, { signal }), () => EVERY_MS);
  const schedules = list.data?.schedules ?? [];
  const projectOf = useProjects(team.id, schedules.map(({ project_id: id }) => id), known.data);
  const title = useRef();
  useEffect(() => title.current?.focus({ preventScroll: true }), []);
  useEffect(() => void (document.title = `Schedules · ${team.name} · Nightshift`), [team.name]);
  const failed = [known, list].find(isGone);
  if (failed) return html`<${Instead} poll=${failed} what="team" />`;
  const mayMake = me.mayWrite && known.data?.projects.length > 0 && known.data.types.length > 0;
  const close = () => {
    setOpen(null);
    list.refresh();
  };
  return html`
    <${Views} current="schedules" />
    <div class="heading">
      <h1 ref=${title} tabindex="-1">Schedules</h1>
      ${mayMake && html`<button class="primary" type="button" onClick=${() => setOpen({})}>New schedule</button>`}
    </div>
    ${!list.data || !known.data
      ? html`<section class="card skeleton"><span></span><span></span></section>`
      : schedules.length === 0
      ? html`<${Empty} onNew=${mayMake && (() => setOpen({}))} />`
      : html`
        <ul class="schedules">
          ${schedules.map((schedule) => html`
            <${Schedule} key=${schedule.id} ...${{ schedule, me, known: known.data, project: projectOf(schedule.project_id) }}
              onEdit=${() => setOpen({ schedule })} onChange=${list.refresh} />`)}
        </ul>`}
    <${Stale} poll=${list} />
    ${open && html`<${ScheduleForm} me=${me} team=${team} known=${known.data} schedule=${open.schedule} onClose=${close} />`}`;
}

const Empty = ({ onNew }) => html`
  <${Blank} title="No schedule yet" actions=${onNew && html`<button class="primary" type="button" onClick=${onNew}>Make the first schedule</button>`}>
    A schedule starts a job by itself, for example every night at three o'clock of your own time zone.
  <//>`;

function Schedule({ schedule, me, known, project, onEdit, onChange }) {
  const [dialog, setDialog] = useState(null);
  const type = typeOf(schedule.job_type, known);
  const by = (who) => nameOf(who, { people: known.people, me });
  const { next, last, paused } = schedule;
  const isOver = !paused && next.length === 0;
  const close = (changed) => {
    setDialog(null);
    if (changed) onChange();
  };
  return html`
    <li class="card schedule">
      <div class="line">
        <h2><bdi>${schedule.name}</bdi></h2>
        <span class="gap"></span>
        <button class="plain" type="button" onClick=${() => setDialog("history")}>Past times</button>
        ${me.mayWrite && html`
          ${!isOver && html`<button class="plain" type="button" onClick=${onEdit}>Edit</button>`}
          ${paused ? html`<button class="plain" type="button" onClick=${() => setDialog("resume")}>Resume</button>`
            : !isOver && html`<button class="plain" type="button" onClick=${() => setDialog("pause")}>Pause</button>`}
          <button class="plain" type="button" onClick=${() => setDialog("delete")}>Delete</button>`}
      </div>
      <p><strong>${type.label}</strong> <${Project} of=${project} /></p>
      <p>${schedule.cron ? html`${schedule.said} <span class="quiet">(${schedule.zone})</span>` : html`Once, at <${Exactly} at=${schedule.run_at} />`}</p>
      ${paused
        ? html`<p class="notice warn">Paused by <bdi>${by(paused.by)}</bdi>, <${Ago} at=${paused.since} />: <q><bdi>${paused.why}</bdi></q></p>`
        : html`<p>${isOver ? "It has started its one run." : html`Next: <${Exactly} at=${next[0]} />`}</p>`}
      ${last && html`<p>Last: <${Slot} of=${last} /></p>`}
      ${schedule.skipped > 1 && html`<p class="bad">Skipped ${schedule.skipped} times in a row.</p>`}
      <p class="hint">
        Made by <bdi>${by(schedule.created_by)}</bdi>${schedule.maker_has_left ? ", who has left the team. It goes on." : "."}
        ${schedule.notify && " Its maker gets a mail when a run ends."}
      </p>
      ${dialog === "history" && html`<${History} schedule=${schedule} onClose=${() => setDialog(null)} />`}
      ${dialog && dialog !== "history" && html`<${Ask} what=${dialog} schedule=${schedule} onClose=${close} />`}
    </li>`;
}

const Exactly = ({ at }) => html`<time datetime=${at} translate=${false}>${moment(Date.parse(at))}</time>`;

const Slot = ({ of: { slot, outcome, reason, run_id: id } }) => html`
  <${Exactly} at=${slot} />: ${id ? html`<${Link} href=${toRun(id)}>${OUTCOMES[outcome] ?? capital(outcome)}<//>` : (OUTCOMES[outcome] ?? capital(outcome))}
  ${reason && html` <span class="quiet">because <bdi>${reason}</bdi></span>`}`;

function History({ schedule, onClose }) {
  const past = usePoll(`slots:${schedule.id}`, (signal) => api("GET", `v1/schedules/${schedule.id}/slots`, { query: { limit: SLOTS }, signal }), () => EVERY_MS);
  return html`
    <${Dialog} title="Past times" onClose=${onClose}>
      ${past.error && html`<${Problem}>${sentence(past.error.message)}<//>`}
      ${past.data?.slots.length === 0 && html`<p>None of its times has come yet.</p>`}
      <ul class="slots">${past.data?.slots.map((slot) => html`<li key=${slot.slot}><${Slot} of=${slot} /></li>`)}</ul>
      ${past.data?.has_more && html`<p class="hint">These are the last ${SLOTS}.</p>`}
      <footer><button type="button" autofocus onClick=${onClose}>Close</button></footer>
    <//>`;
}

const ASKED = {
  pause: { title: "Pause this schedule?", says: "Its times pass without a run until it is resumed. Live runs continue.", button: "Pause" },
  resume: { title: "Resume this schedule?", says: "It starts at its next time. Times that have passed are not caught up.", button: "Resume" },
  delete: { title: "Delete this schedule?", says: "It starts no more runs. The runs that it has started stay.", button: "Delete schedule" },
};

/** Asks before the schedule is paused, with the reason, resumed or deleted. `onClose(changed)`. */
function Ask({ what, schedule, onClose }) {
  const [sending, alone] = useAlone();
  const [problem, setProblem] = useState(null);
  const { title, says, button } = ASKED[what];
  const submit = (event) => {
    event.preventDefault();
    const why = event.currentTarget.elements.why?.value;
    return alone(async () => {
      try {
        if (what === "delete") await api("DELETE", `v1/schedules/${schedule.id}`);
        else await api("POST", `v1/schedules/${schedule.id}/${what}`, { body: what === "pause" ? { why } : {} });
        onClose(true);
      } catch (error) {
        // Another person has deleted it already.
        if (what === "delete" && error.status === 404) onClose(true);
        else setProblem(error.message);
      }
    });
  };
  return html`
    <${Dialog} title=${title} onClose=${() => onClose(false)} busy=${sending}>
      <form autocomplete="off" onSubmit=${submit}>
        ${problem && html`<${Problem}>${sentence(problem)}<//>`}
        <p>${says}</p>
        ${what === "pause" && html`
          <div class="field">
            <label for="why">Reason</label>
            <input id="why" type="text" required maxlength="500" autofocus aria-describedby="why-hint" />
            <p id="why-hint" class="hint">The others in the team see it.</p>
          </div>`}
        <footer>
          <button type="button" disabled=${sending} onClick=${() => onClose(false)}>Close</button>
          <button class=${what === "delete" ? "danger" : "primary"} disabled=${sending}>${sending ? "Sending …" : button}</button>
        </footer>
      </form>
    <//>`;
}
