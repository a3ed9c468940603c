// The alerts of a team: what it is told of its runs, and where.

import { html, useState } from "./html.js";
import { useAlone } from "./alone.js";
import { api } from "./api.js";
import { AlertForm } from "./alertform.js";
import { Deliveries } from "./deliveries.js";
import { moment, sentence } from "./format.js";
import { usePoll } from "./live.js";
import { Ago, Copy, Dialog, Problem } from "./parts.js";
import { nameOf } from "./people.js";
import { typeOf, useProjects } from "./team.js";

const EVERY_MS = 15_000;
export const EVENTS = {
  failed: "A run fails",
  first_failure: "A run fails after a success",
  recovered: "A run succeeds after a failure",
  ended: "A run ends, however it ends",
  overdue: "A job with a schedule has not succeeded for long",
};
export const CHANNELS = { mail: "Mail", slack: "Slack", webhook: "Webhook" };

export function Alerts({ team, known, me, onChange }) {
  const path = `v1/teams/${team.id}/alerts`;
  const poll = usePoll(path, (signal) => api("GET", path, { signal }), () => EVERY_MS);
  const [open, setOpen] = useState(null);
  const alerts = poll.data?.alerts ?? [];
  const projectOf = useProjects(team.id, alerts.flatMap(({ project_ids: ids }) => ids ?? []), known);
  const changed = () => {
    poll.refresh();
    onChange();
  };
  return html`
    <section class="card" aria-labelledby="alerts">
      <div class="line">
        <h2 id="alerts">Alerts</h2>
        <span class="gap"></span>
        ${poll.data && html`<button class="primary" type="button" onClick=${() => setOpen({})}>New alert</button>`}
      </div>
      ${!poll.data && (poll.error ? html`<p role="alert">${sentence(poll.error.message)}</p>` : html`<p class="quiet" role="status">Loading …</p>`)}
      ${poll.data && alerts.length === 0 && html`<p class="quiet">No alert yet. An alert tells the team of failed runs by mail, in Slack or at a webhook.</p>`}
      ${alerts.map((alert) => html`<${Alert} key=${alert.id} ...${{ alert, known, me, projectOf }} onEdit=${() => setOpen({ alert })} onChange=${changed} />`)}
      ${open && html`<${AlertForm} ...${{ team, known, alert: open.alert }} onClose=${() => setOpen(null)} onDone=${changed} />`}
    </section>`;
}

function Alert({ alert, known, me, projectOf, onEdit, onChange }) {
  const [dialog, setDialog] = useState(null);
  const [busy, alone] = useAlone();
  const [problem, setProblem] = useState(null);
  const at = `v1/alerts/${alert.id}`;
  const close = () => setDialog(null);
  /** Calls the API, and shows what `then` makes of the answer. */
  const send = (method, path, body, then = () => {}) => alone(async () => {
    setProblem(null);
    try {
      then(await api(method, path, { body }));
      onChange();
    } catch (error) {
      setProblem(error.message);
    }
  });
  const { paused, failing } = alert;
  const isWebhook = alert.channel === "webhook";
  const test = () => send("POST", `${at}/test`, {}, () => setDialog({ what: "deliveries" }));
  return html`
    <div class="provider">
      <div>
        <h3><bdi>${alert.name}</bdi></h3>
        <p>${alert.events.map((event) => EVENTS[event]).join("; ")}${alert.overdue_hours && ` (${alert.overdue_hours} h)`}</p>
        <p class="quiet">${scopeOf(alert, known, projectOf)} <${Readers} of=${alert} /></p>
        ${paused && html`<p class="notice warn">Paused by <bdi>${paused.by === "nightshift" ? "Nightshift" : nameOf(paused.by, { people: known.people, me })}</bdi>, <${Ago} at=${paused.since} />: ${sentence(paused.why)}</p>`}
        ${!paused && failing && html`<p class="bad">Its endpoint fails since <${Ago} at=${failing.since} />. The messages are tried again for a day.</p>`}
        ${alert.last && html`<p class="hint">Last message <${Ago} at=${alert.last.at} />: ${alert.last.status}</p>`}
        ${alert.old_secret_until && html`<p class="hint">The secret before the last one signs as well until ${moment(Date.parse(alert.old_secret_until))}.</p>`}
      </div>
      <div class="buttons">
        <button type="button" disabled=${busy} onClick=${test}>Send a test</button>
        <button type="button" onClick=${() => setDialog({ what: "deliveries" })}>Deliveries</button>
        <button type="button" onClick=${onEdit}>Edit</button>
        <button type="button" disabled=${busy} onClick=${() => send("PATCH", at, { enabled: Boolean(paused) })}>${paused ? "Resume" : "Pause"}</button>
        ${isWebhook && html`<button type="button" onClick=${() => setDialog({ what: "rotate" })}>New secret</button>`}
        <button class="danger" type="button" onClick=${() => setDialog({ what: "delete" })}>Delete</button>
      </div>
    </div>
    ${problem && !dialog && html`<${Problem}>${sentence(problem)}<//>`}
    ${dialog?.what === "deliveries" && html`<${Deliveries} alert=${alert} onClose=${close} />`}
    ${dialog?.what === "secret" && html`<${Secret} secret=${dialog.secret} onClose=${close} />`}
    ${dialog?.what === "rotate" && html`
      <${Ask} title="Give this webhook a new secret?" button="Make a new secret" ...${{ busy, problem, close }}
        onYes=${() => send("POST", `${at}/rotate`, {}, ({ secret }) => setDialog({ what: "secret", secret }))}>
        The old secret signs the messages as well for a day, so that the receiver has time to change.
      <//>`}
    ${dialog?.what === "delete" && html`
      <${Ask} title="Delete this alert?" button="Delete alert" danger ...${{ busy, problem, close }} onYes=${() => send("DELETE", at, undefined, close)}>
        It sends nothing more. Its secret and its deliveries are deleted.
      <//>`}`;
}

/** A webhook's secret, which is shown once. */
export const Secret = ({ secret, onClose }) => html`
  <${Dialog} title="The secret of this webhook" onClose=${onClose}>
    <p>Store it at the receiver now: it is not shown again. It verifies that a message comes from here.</p>
    <p class="line"><code class="key" translate=${false}>${secret}</code> <${Copy} text=${() => secret} what="secret" /></p>
    <footer><button class="primary" type="button" autofocus onClick=${onClose}>Done</button></footer>
  <//>`;

const Ask = ({ title, button, danger, busy, problem, close, onYes, children }) => html`
  <${Dialog} title=${title} onClose=${close} busy=${busy}>
    ${problem && html`<${Problem}>${sentence(problem)}<//>`}
    <p>${children}</p>
    <footer>
      <button type="button" autofocus disabled=${busy} onClick=${close}>Close</button>
      <button class=${danger ? "danger" : "primary"} type="button" disabled=${busy} onClick=${onYes}>${busy ? "Sending …" : button}</button>
    </footer>
  <//>`;

function scopeOf(alert, known, projectOf) {
  const types = alert.job_types?.map((name) => typeOf(name, known).label).join(", ") ?? "All job types";
  const projects = alert.project_ids?.map((id) => projectOf(id)?.name ?? "a deleted project").join(", ") ?? "all projects";
  return `${types} in ${projects}.`;
}

function Readers({ of: alert }) {
  if (alert.channel === "slack") return "In Slack.";
  if (alert.channel === "webhook") return html`To <bdi translate=${false}>${alert.url}</bdi>`;
  const named = alert.addresses.map(({ address, state }) => (state === "waiting" ? `${address} (not confirmed)` : address));
  return html`By mail to <bdi>${[...(alert.admins ? ["all admins"] : []), ...named].join(", ")}</bdi>.`;
}
