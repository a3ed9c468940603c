// The pauses that stop jobs of a project: by its team, which can end them here, and by the operator.

import { html, useState } from "./html.js";
import { useAlone } from "./alone.js";
import { api } from "./api.js";
import { Choice } from "./choice.js";
import { moment, sentence } from "./format.js";
import { usePoll } from "./live.js";
import { OfProject } from "./ofproject.js";
import { Ago, Dialog, Problem } from "./parts.js";
import { nameOf } from "./people.js";
import { typeOf } from "./team.js";

const EVERY_MS = 30_000;

export const Pauses = ({ team, known, me, onChange }) => html`
  <${OfProject} id="pauses" title="Paused jobs" team=${team} known=${known}>
    ${(projectId) => html`<${OfOne} key=${projectId} ...${{ projectId, known, me, onChange }} />`}
  <//>`;

function OfOne({ projectId, known, me, onChange }) {
  const path = `v1/projects/${projectId}/pauses`;
  const poll = usePoll(path, (signal) => api("GET", path, { signal }), () => EVERY_MS);
  const [pausing, setPausing] = useState(false);
  if (!poll.data) return poll.error ? html`<p role="alert">${sentence(poll.error.message)}</p>` : html`<p class="quiet" role="status">Loading …</p>`;
  const changed = () => {
    poll.refresh();
    onChange();
  };
  const { pauses } = poll.data;
  return html`
    <p class="hint">A paused job starts no runs of the project, by hand or by schedule. Live runs go on.</p>
    ${pauses.length === 0 && html`<p class="quiet">No job of this project is paused.</p>`}
    ${pauses.map((pause) => html`<${Row} key=${`${pause.what} ${pause.job_type}`} onChange=${changed} ...${{ pause, path, known, me }} />`)}
    ${me.mayWrite && html`<p class="under"><button type="button" onClick=${() => setPausing(true)}>Pause a job</button></p>`}
    ${pausing && html`<${PauseDialog} path=${path} types=${known.types} onClose=${() => setPausing(false)} onDone=${changed} />`}`;
}

function Row({ pause, path, known, me, onChange }) {
  const [busy, alone] = useAlone();
  const [problem, setProblem] = useState(null);
  const { label } = typeOf(pause.job_type, known);
  const isOwn = pause.what === "project";
  const resume = () => alone(async () => {
    setProblem(null);
    try {
      await api("DELETE", `${path}/${pause.job_type}`);
    } catch (error) {
      // Another admin has resumed it.
      if (error.status !== 404) return setProblem(error.message);
    }
    onChange();
  });
  return html`
    <div class="provider">
      <div>
        <h3 translate=${false}>${label}</h3>
        <p class="quiet">
          Paused <${Ago} at=${pause.since} />
          ${isOwn ? html` by <bdi>${nameOf(pause.by, { people: known.people, me })}</bdi>` : html` for all teams by the operator (<bdi>${pause.by}</bdi>)`}${pause.until && `, until ${moment(Date.parse(pause.until))}`}:${" "}
          <q><bdi>${pause.why}</bdi></q>
        </p>
      </div>
      ${isOwn && me.mayWrite && html`<div class="buttons"><button type="button" disabled=${busy} aria-label="Resume ${label}" onClick=${resume}>Resume</button></div>`}
    </div>
    ${problem && html`<${Problem}>${sentence(problem)}<//>`}`;
}

function PauseDialog({ path, types, onClose, onDone }) {
  const [typeName, setTypeName] = useState(types.length === 1 ? types[0].job_type : null);
  const [sending, alone] = useAlone();
  const [problem, setProblem] = useState(null);
  const submit = (event) => {
    event.preventDefault();
    const { why, until } = event.currentTarget.elements;
    return alone(async () => {
      setProblem(null);
      try {
        const end = until.value && { until: new Date(until.value).toISOString() };
        await api("PUT", `${path}/${typeName}`, { body: { why: why.value, ...end } });
        onClose();
        onDone();
      } catch (error) {
        setProblem(error.message);
      }
    });
  };
  return html`
    <${Dialog} title="Pause a job" onClose=${onClose} busy=${sending}>
      <form autocomplete="off" onSubmit=${submit} onInput=${() => setProblem(null)}>
        ${problem && html`<${Problem}>${sentence(problem)}<//>`}
        <div class="field">
          <label for="type">Type</label>
          <${Choice} id="type" what="types" autofocus required value=${typeName} onChange=${setTypeName} first=${!typeName && "Choose a type"}
            choices=${types.map((each) => [each.job_type, each.label])} />
        </div>
        <div class="field">
          <label for="why">Reason</label>
          <input id="why" type="text" required maxlength="500" aria-describedby="why-hint" />
          <p id="why-hint" class="hint">Shown to everyone whose run is refused, and beside the times that schedules skip.</p>
        </div>
        <div class="field">
          <label for="until">Until <span class="quiet">optional</span></label>
          <input id="until" type="datetime-local" aria-describedby="until-hint" />
          <p id="until-hint" class="hint">Without a time, it lasts until an admin resumes it.</p>
        </div>
        <footer>
          <button type="button" disabled=${sending} onClick=${onClose}>Close</button>
          <button class="primary" disabled=${sending}>${sending ? "Pausing …" : "Pause"}</button>
        </footer>
      </form>
    <//>`;
}
