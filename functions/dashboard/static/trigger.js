// Run job: what, for which project, with which parameters.

import { html, useMemo, useState } from "./vendor/htm-preact.js";
import { Fields, fieldsOf, paramsOf } from "./fields.js";
import { Dialog } from "./parts.js";
import { Refusal, useStart } from "./start.js";
import { Paused } from "./team.js";

export function Trigger({ me, team, known, onClose }) {
  const { types, projects } = known.data;
  const [typeName, setTypeName] = useState((types.find((type) => !type.paused) ?? types[0])?.job_type);
  const [projectId, setProjectId] = useState(projects[0].id);
  const [values, setValues] = useState({});
  const [notify, setNotify] = useState(false);
  const type = types.find((each) => each.job_type === typeName);
  const fields = useMemo(() => fieldsOf(type.params), [typeName]);
  const { start, sending, refusal, clear } = useStart(`v1/teams/${team.id}/jobs/trigger`);

  const submit = async (event) => {
    event.preventDefault();
    const wish = { job_type: typeName, project_id: projectId, params: paramsOf(fields, values), notify };
    if (await start(wish)) onClose();
    else known.refresh();
  };
  const change = (set) => (value) => {
    clear();
    set(value);
  };

  return html`
    <${Dialog} title="Run job" onClose=${onClose} busy=${sending}>
      <form onSubmit=${submit}>
        <${Refusal} of=${refusal} />
        ${type.paused && html`<${Paused} type=${type} team=${known.data} me=${me} />`}
        <div class="field">
          <label for="type">Type</label>
          <select id="type" autofocus aria-describedby="type-hint" onChange=${(event) => {
            change(setTypeName)(event.target.value);
            setValues({});
          }}>
            ${types.map((each) => html`
              <option value=${each.job_type} selected=${each.job_type === typeName}>${each.label}${each.paused ? " (paused)" : ""}</option>`)}
          </select>
          <p id="type-hint" class="hint">${type.description}</p>
        </div>
        <div class="field">
          <label for="project">Project</label>
          <select id="project" onChange=${(event) => change(setProjectId)(event.target.value)}>
            ${projects.map(({ id, name }) => html`<option value=${id} selected=${id === projectId}>${name}</option>`)}
          </select>
        </div>
        <${Fields} key=${typeName} fields=${fields} values=${values} onChange=${(name, value) => change(setValues)({ ...values, [name]: value })} />
        <div class="field switch">
          <input id="notify" type="checkbox" checked=${notify} aria-describedby="notify-hint" onChange=${(event) => change(setNotify)(event.target.checked)} />
          <div>
            <label for="notify">Notify me when done</label>
            <p id="notify-hint" class="hint">A mail with the result, whichever way it ends.</p>
          </div>
        </div>
        <footer>
          <button type="button" disabled=${sending} onClick=${onClose}>Close</button>
          <button class="primary" disabled=${sending || Boolean(type.paused)}>${sending ? "Starting …" : "Run"}</button>
        </footer>
      </form>
    <//>`;
}
