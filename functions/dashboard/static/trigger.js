// The "Run job" dialog: type, project and parameters. It sends exactly what it shows, even if the data has changed. A
// person chooses type and project where there are several: the first one may do what that person did not mean.

import { html, useMemo, useState } from "./html.js";
import { Choice } from "./choice.js";
import { Fields, fieldsOf, paramsOf } from "./fields.js";
import { Dialog } from "./parts.js";
import { Refusal, useStart } from "./start.js";
import { Paused, projectChoices, projectFinder } from "./team.js";

/** `preset` names the job type and the project that the dialog begins with. */
export function Trigger({ me, team, known, preset, onClose }) {
  const { types, projects, hasMore } = known.data;
  const [typeName, setTypeName] = useState(preset?.job_type ?? (types.length === 1 ? types[0].job_type : null));
  const [projectId, setProjectId] = useState(preset?.project_id ?? (projects.length === 1 ? projects[0].id : null));
  // A choice that a search has found, beside the first projects.
  const [found, setFound] = useState(null);
  const type = types.find((each) => each.job_type === typeName);
  const schema = JSON.stringify(type?.params);
  const fields = useMemo(() => fieldsOf(type?.params ?? {}), [schema]);
  const { start, sending, refusal, refuse, clear } = useStart(`v1/teams/${team.id}/jobs/trigger`);

  const submit = async (event) => {
    event.preventDefault();
    const { type: shownType, project, notify, at } = event.currentTarget.elements;
    // The browser changed the type without an event: the fields shown belong to another type.
    if (shownType.value !== typeName) return setTypeName(shownType.value);
    try {
      const later = at.value && { run_at: new Date(at.value).toISOString() };
      const wish = { job_type: typeName, project_id: project.value, params: paramsOf(fields, event.currentTarget), notify: notify.checked, ...later };
      if (await start(wish)) onClose();
      else known.refresh();
    } catch (error) {
      refuse(error);
    }
  };
  const change = (set) => (value, choice) => {
    clear();
    set(value, choice);
  };
  const choose = (id, choice) => {
    setProjectId(id);
    if (hasMore) setFound(choice);
  };

  const offered = projectChoices(projects);
  const choices = !found || offered.some(([id]) => id === found[0]) ? offered : [...offered, found];

  return html`
    <${Dialog} title="Run job" onClose=${onClose} busy=${sending}>
      <form autocomplete="off" onSubmit=${submit} onInput=${clear}>
        <${Refusal} of=${refusal} />
        ${type?.paused && html`<${Paused} type=${type} team=${known.data} me=${me} />`}
        <div class="field">
          <label for="type">Type</label>
          <${Choice} id="type" what="types" autofocus required aria-describedby="type-hint" value=${typeName} onChange=${change(setTypeName)}
            first=${!type && (typeName ? "No longer available: choose another" : "Choose a type")}
            choices=${types.map((each) => [each.job_type, `${each.label}${each.paused ? " (paused)" : ""}`])} />
          <p id="type-hint" class="hint">${type?.description}</p>
        </div>
        <div class="field">
          <label for="project">Project</label>
          <${Choice} id="project" what="projects" required value=${projectId} onChange=${change(choose)} find=${hasMore ? projectFinder(team.id) : null}
            first=${!choices.some(([id]) => id === projectId) && (projectId ? "No longer available: choose another" : "Choose a project")} choices=${choices} />
        </div>
        <${Fields} key=${typeName} fields=${fields} />
        <div class="field">
          <label for="at">Start at <span class="quiet">optional</span></label>
          <input id="at" type="datetime-local" aria-describedby="at-hint" />
          <p id="at-hint" class="hint">Without a time, it starts now.</p>
        </div>
        <div class="field switch">
          <input id="notify" type="checkbox" aria-describedby="notify-hint" />
          <div>
            <label for="notify">Notify me when done</label>
            <p id="notify-hint" class="hint">Sends you a mail when the run ends, also if it fails.</p>
          </div>
        </div>
        <footer>
          <button type="button" disabled=${sending} onClick=${onClose}>Close</button>
          <button class="primary" disabled=${sending || Boolean(type?.paused)}>${sending ? "Starting …" : "Run"}</button>
        </footer>
      </form>
    <//>`;
}

/** For `Later`. */
export const View = Trigger;
