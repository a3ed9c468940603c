// The dialog that makes or edits a schedule. The API says an expression in words and computes its times.

import { html, useEffect, useMemo, useState } from "./html.js";
import { useAlone } from "./alone.js";
import { api } from "./api.js";
import { Choice } from "./choice.js";
import { Fields, fieldsOf, paramsOf } from "./fields.js";
import { moment, sentence } from "./format.js";
import { Announce, Dialog, Problem } from "./parts.js";
import { projectChoices, projectFinder } from "./team.js";

// The preview waits until the user pauses.
const TYPING_MS = 300;
const NIGHTLY = "0 3 * * *";

/** `preset` names the job type and the project that a new schedule begins with. */
export function ScheduleForm({ me, team, known, schedule, preset, onClose }) {
  const { types, projects, hasMore } = known;
  const [typeName, setTypeName] = useState(schedule?.job_type ?? preset?.job_type ?? (types.length === 1 ? types[0].job_type : null));
  const [projectId, setProjectId] = useState(preset?.project_id ?? (projects.length === 1 ? projects[0].id : null));
  const [found, setFound] = useState(null);
  const [repeats, setRepeats] = useState(!schedule?.run_at);
  const [cron, setCron] = useState(schedule?.cron ?? NIGHTLY);
  const [zone, setZone] = useState(schedule?.zone ?? zoneHere());
  const [sending, alone] = useAlone();
  const [problem, setProblem] = useState(null);
  const type = types.find((each) => each.job_type === typeName);
  const schema = JSON.stringify(type?.params);
  const fields = useMemo(() => fieldsOf(type?.params ?? {}, schedule?.params), [schema]);
  const preview = usePreview(repeats ? cron : null, zone);

  const submit = (event) => {
    event.preventDefault();
    const form = event.currentTarget;
    return alone(async () => {
      setProblem(null);
      try {
        const { name, notify, at, project } = form.elements;
        const when = repeats ? { cron, zone } : { run_at: new Date(at.value).toISOString() };
        const wish = { ...when, params: paramsOf(fields, form), name: name.value, notify: notify.checked };
        if (schedule) await api("PATCH", `v1/schedules/${schedule.id}`, { body: wish });
        else await api("POST", `v1/teams/${team.id}/schedules`, { body: { ...wish, job_type: typeName, project_id: project.value } });
        onClose();
      } catch (error) {
        setProblem(error.message);
      }
    });
  };
  const offered = projectChoices(projects);
  const choices = !found || offered.some(([id]) => id === found[0]) ? offered : [...offered, found];
  const chooseProject = (id, choice) => {
    setProjectId(id);
    if (hasMore) setFound(choice);
  };
  return html`
    <${Dialog} title=${schedule ? "Edit schedule" : "New schedule"} onClose=${onClose} busy=${sending}>
      <form autocomplete="off" onSubmit=${submit} onInput=${() => setProblem(null)}>
        ${problem && html`<${Problem}>${sentence(problem)}<//>`}
        ${!schedule && html`
          <div class="field">
            <label for="type">Type</label>
            <${Choice} id="type" what="types" autofocus required value=${typeName} onChange=${setTypeName} first=${!type && "Choose a type"}
              choices=${types.map((each) => [each.job_type, each.label])} />
          </div>
          <div class="field">
            <label for="project">Project</label>
            <${Choice} id="project" what="projects" required value=${projectId} onChange=${chooseProject} find=${hasMore ? projectFinder(team.id) : null}
              first=${!projectId && "Choose a project"} choices=${choices} />
          </div>`}
        <fieldset class="field">
          <legend class="unseen">When</legend>
          <div class="switch"><input id="repeats" type="radio" name="when" checked=${repeats} onChange=${() => setRepeats(true)} /><label for="repeats">Again and again</label></div>
          <div class="switch"><input id="once" type="radio" name="when" checked=${!repeats} onChange=${() => setRepeats(false)} /><label for="once">Once</label></div>
        </fieldset>
        ${repeats
          ? html`
            <div class="field">
              <label for="cron">Cron expression</label>
              <input id="cron" type="text" required maxlength="200" spellcheck="false" class="code" value=${cron} aria-describedby="cron-preview"
                aria-invalid=${preview.problem ? "true" : null} onInput=${(event) => setCron(event.target.value)} />
              <${Preview} of=${preview} />
            </div>
            <div class="field">
              <label for="zone">Time zone</label>
              <input id="zone" type="text" required maxlength="100" list="zones" spellcheck="false" value=${zone} onInput=${(event) => setZone(event.target.value)} />
              <datalist id="zones">${zonesKnown().map((each) => html`<option key=${each} value=${each}></option>`)}</datalist>
            </div>`
          : html`
            <div class="field">
              <label for="at">Time</label>
              <input id="at" type="datetime-local" required defaultValue=${localText(schedule?.run_at)} aria-describedby="at-hint" />
              <p id="at-hint" class="hint">By the clock of this computer (${zoneHere()}).</p>
            </div>`}
        <${Fields} key=${typeName} fields=${fields} />
        <div class="field">
          <label for="name">Name <span class="quiet">optional</span></label>
          <input id="name" type="text" maxlength="100" defaultValue=${schedule && schedule.name !== schedule.said ? schedule.name : ""} />
        </div>
        <div class="field switch">
          <input id="notify" type="checkbox" defaultChecked=${schedule?.notify} aria-describedby="notify-hint" />
          <div>
            <label for="notify">Mail when a run ends</label>
            <p id="notify-hint" class="hint">${schedule ? "Goes to the schedule's maker." : `Goes to ${me.email ?? "you"}.`}</p>
          </div>
        </div>
        <footer>
          <button type="button" disabled=${sending} onClick=${onClose}>Close</button>
          <button class="primary" disabled=${sending}>${sending ? "Saving …" : schedule ? "Save" : "Make schedule"}</button>
        </footer>
      </form>
    <//>`;
}

/** The expression in words and its next times, or why it cannot be used. */
function Preview({ of: { said, next, problem } }) {
  return html`
    <div id="cron-preview" class="preview">
      <p class=${problem ? "bad" : "hint"}>${problem ? sentence(problem.replace(/^(cron|zone): /, "")) : said ? sentence(said) : "\u00a0"}</p>
      ${!problem && next && html`<ol class="hint">${next.map((at) => html`<li key=${at}><time datetime=${at} translate=${false}>${moment(Date.parse(at))}</time></li>`)}</ol>`}
    </div>
    <${Announce} text=${problem ?? said ?? ""} />`;
}

/** `{said, next}` or `{problem}` of an expression; empty while the user types. A null expression has none. */
function usePreview(cron, zone) {
  const [answer, setAnswer] = useState({});
  useEffect(() => {
    setAnswer({});
    if (!cron?.trim()) return;
    const request = new AbortController();
    const ask = async () => {
      try {
        setAnswer(await api("GET", "v1/cron", { query: { cron, zone }, signal: request.signal }));
      } catch (error) {
        if (!request.signal.aborted && error.status === 400) setAnswer({ problem: error.message });
      }
    };
    const timer = setTimeout(ask, TYPING_MS);
    return () => {
      clearTimeout(timer);
      request.abort();
    };
  }, [cron, zone]);
  return answer;
}

function zoneHere() {
  try {
    return Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";
  } catch {
    return "UTC";
  }
}

/** The zones that the browser knows; an older browser lists none. */
function zonesKnown() {
  try {
    return ["UTC", ...Intl.supportedValuesOf("timeZone")];
  } catch {
    return [];
  }
}

/** `2026-11-28T03:00` by the clock of this computer, as the input wants it. */
export function localText(at) {
  if (!at) return "";
  const then = new Date(at);
  return new Date(then - then.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
}
