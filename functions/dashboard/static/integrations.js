// The providers' keys of a project: stored, tested, changed and removed by the team's admins.

import { html, useState } from "./html.js";
import { useAlone } from "./alone.js";
import { api } from "./api.js";
import { sentence } from "./format.js";
import { KeyForm } from "./keyform.js";
import { usePoll } from "./live.js";
import { OfProject } from "./ofproject.js";
import { Ago, Dialog, Problem } from "./parts.js";
import { Refusal, useStart } from "./start.js";

const EVERY_MS = 30_000;
// The type of the run that tests a stored key.
const CHECK = "integration_check";

export const Integrations = ({ team, known, me, onChange }) => html`
  <${OfProject} id="integrations" title="Integrations" team=${team} known=${known}>
    ${(projectId) => html`<${Providers} key=${projectId} ...${{ projectId, team, me, onChange }} />`}
  <//>`;

function Providers({ projectId, team, me, onChange }) {
  const path = `v1/projects/${projectId}/integrations`;
  const poll = usePoll(path, (signal) => api("GET", path, { signal }), () => EVERY_MS);
  if (!poll.data || poll.error?.status === 403)
    return poll.error ? html`<p role="alert">${sentence(poll.error.message)}</p>` : html`<p class="quiet" role="status">Loading …</p>`;
  const changed = () => {
    poll.refresh();
    onChange();
  };
  const stored = new Map(poll.data.integrations.map((each) => [each.provider, each]));
  return poll.data.providers.map(
    (provider) =>
      html`<${Provider} key=${provider.provider} integration=${stored.get(provider.provider)} onChange=${changed} ...${{ provider, path, projectId, team, me }} />`,
  );
}

function Provider({ provider, integration, path, projectId, team, me, onChange }) {
  const [dialog, setDialog] = useState(null);
  const [busy, alone] = useAlone();
  const [problem, setProblem] = useState(null);
  const { start, sending, refusal } = useStart(`v1/teams/${team.id}/jobs/trigger`);
  const at = `${path}/${provider.provider}`;
  const close = () => setDialog(null);
  const send = (method, body) => alone(async () => {
    setProblem(null);
    try {
      await api(method, at, { body });
      close();
      onChange();
    } catch (error) {
      setProblem(error.message);
    }
  });
  const test = () => start({ job_type: CHECK, project_id: projectId, params: { provider: provider.provider } });
  const about = integration
    ? html`<strong>${integration.enabled ? "Enabled" : "Disabled"}</strong>, changed <${Ago} at=${integration.updated_at} />`
    : html`No key is stored, so jobs that call ${provider.label} cannot start.`;
  return html`
    <div class="provider">
      <div>
        <h3 translate=${false}>${provider.label}</h3>
        <p class="quiet">${about}</p>
        ${integration && html`<${Config} config=${integration.config} />`}
      </div>
      <div class="buttons">
        ${!integration && html`<button class="primary" type="button" onClick=${() => setDialog("key")}>Add key</button>`}
        ${integration && html`
          <button type="button" onClick=${() => setDialog("key")}>Change</button>
          ${me.mayWrite && html`<button type="button" disabled=${sending} onClick=${test}>${sending ? "Starting …" : "Test"}</button>`}
          <button type="button" disabled=${busy} onClick=${() => send("PATCH", { enabled: !integration.enabled })}>${integration.enabled ? "Disable" : "Enable"}</button>
          <button class="danger" type="button" onClick=${() => setDialog("remove")}>Remove</button>`}
      </div>
    </div>
    <${Refusal} of=${refusal} />
    ${problem && !dialog && html`<${Problem}>${problem}<//>`}
    ${dialog === "key" && html`<${KeyForm} onClose=${close} onDone=${onChange} ...${{ provider, integration, path }} />`}
    ${dialog === "remove" &&
    html`
      <${Dialog} title="Remove the ${provider.label} integration?" onClose=${close} busy=${busy}>
        ${problem && html`<${Problem}>${problem}<//>`}
        <p>Its key is deleted and cannot be read again. A live run that uses it ends with an error.</p>
        <footer>
          <button type="button" autofocus disabled=${busy} onClick=${close}>Keep it</button>
          <button class="danger" type="button" disabled=${busy} onClick=${() => send("DELETE")}>${busy ? "Removing …" : "Remove"}</button>
        </footer>
      <//>`}`;
}

function Config({ config }) {
  const shown = Object.entries(config).filter(([name]) => name !== "api_key");
  return shown.length > 0 && html`<p class="hint" translate=${false}>${shown.map(([name, value]) => `${name}: ${value}`).join(", ")}</p>`;
}
