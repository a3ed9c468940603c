// The agent keys of a team: made, rotated and ended by its admins. A new key is shown once.

import { html, useState } from "./html.js";
import { useAlone } from "./alone.js";
import { api } from "./api.js";
import { day, sentence } from "./format.js";
import { usePoll } from "./live.js";
import { Ago, Copy, Dialog, Problem } from "./parts.js";
import { nameOf } from "./people.js";

const EVERY_MS = 30_000;
const MEANINGS = {
  __proto__: null,
  "jobs:read": "See runs, schedules and projects",
  "jobs:write": "Start and cancel runs, make schedules",
  "audit:read": "See who changed what",
  "integrations:write": "Store and remove providers' keys",
  "keys:write": "Make and end agent keys with permissions of its own",
};
const USUAL = ["jobs:read", "jobs:write"];
const LIVES = [[7, "In 7 days"], [30, "In 30 days"], [90, "In 90 days"], [365, "In a year"], ["", "Never"]];
const GRACES = [[0, "At once"], [1, "In a day"], [7, "In 7 days"]];

export function AgentKeys({ team, known, me, onChange }) {
  const path = `v1/teams/${team.id}/keys`;
  const poll = usePoll(path, (signal) => api("GET", path, { signal }), () => EVERY_MS);
  const [making, setMaking] = useState(false);
  const refused = poll.error?.status === 403;
  const changed = () => {
    poll.refresh();
    onChange();
  };
  return html`
    <section class="card" aria-labelledby="agent-keys">
      <div class="heading inside">
        <h2 id="agent-keys">Agent keys</h2>
        ${poll.data && !refused && html`<button type="button" onClick=${() => setMaking(true)}>Make a key</button>`}
      </div>
      <p class="hint">Scripts and machines use the API with them. A key goes on working when its maker leaves the team.</p>
      ${!poll.data || refused
        ? poll.error ? html`<p role="alert">${sentence(poll.error.message)}</p>` : html`<p class="quiet" role="status">Loading …</p>`
        : poll.data.keys.length === 0 && html`<p class="quiet">No agent keys yet.</p>`}
      ${!refused && poll.data?.keys.map((key) => html`<${Key} key=${key.id} of=${key} onChange=${changed} ...${{ path, known, me }} />`)}
      ${poll.data?.has_more && html`<p class="quiet">There are more keys. End those that are not in use.</p>`}
      ${making && html`<${KeyDialog} title="Make an agent key" path=${path} verb="Make" onClose=${() => setMaking(false)} onDone=${changed}
        wish=${wishOf} fields=${html`<${NewKey} permissions=${poll.data.permissions} />`} />`}
    </section>`;
}

function Key({ of, path, known, me, onChange }) {
  const [dialog, setDialog] = useState(null);
  const close = () => setDialog(null);
  const maker = of.made_by && nameOf(of.made_by === "operator" ? "system" : `manual:${of.made_by}`, { people: known.people, me });
  return html`
    <div class="provider">
      <div>
        <h3><bdi translate=${false}>${of.name || "Without a name"}</bdi> <code translate=${false}>${of.key_prefix}…</code></h3>
        <p class="quiet">
          Made <${Ago} at=${of.created_at} />${maker && html` by <bdi>${maker}</bdi>`}${of.maker_has_left && ", who has left the team"},${" "}
          ${of.last_used_at ? html`last used <${Ago} at=${of.last_used_at} />` : "not used yet"}.${" "}
          ${of.replaced_by && !of.expired && "Replaced. "}<strong>${expiryOf(of)}</strong>.
        </p>
        <p class="hint" translate=${false}>${of.permissions.join(", ") || "no permissions"}</p>
      </div>
      <div class="buttons">
        ${!of.expired && !of.replaced_by && html`<button type="button" aria-label="Rotate ${of.name}" onClick=${() => setDialog("rotate")}>Rotate</button>`}
        <button class="danger" type="button" aria-label="End ${of.name}" onClick=${() => setDialog("end")}>End</button>
      </div>
    </div>
    ${dialog === "rotate" &&
    html`<${KeyDialog} title="Rotate ${of.name}?" path=${`${path}/${of.id}/rotate`} verb="Rotate" onClose=${close} onDone=${onChange}
      wish=${(form) => ({ grace_days: Number(form.elements.grace.value) })} fields=${html`<${Grace} />`} />`}
    ${dialog === "end" && html`<${EndDialog} of=${of} path=${`${path}/${of.id}`} onClose=${close} onDone=${onChange} />`}`;
}

function expiryOf({ expires_at: at, expired }) {
  if (!at) return "Does not expire";
  return `${expired ? "Expired" : "Expires"} on ${day(Date.parse(at))}`;
}

const NewKey = ({ permissions }) => html`
  <div class="field">
    <label for="name">Name</label>
    <input id="name" type="text" required maxlength="100" autocomplete="off" autofocus aria-describedby="name-hint" />
    <p id="name-hint" class="hint">For the place that uses it: people recognise it by this name.</p>
  </div>
  <fieldset class="field">
    <legend>Permissions</legend>
    ${permissions.map(
      (name) => html`
        <div class="switch">
          <input id="may-${name}" type="checkbox" name="may" value=${name} defaultChecked=${USUAL.includes(name)} />
          <label for="may-${name}">${MEANINGS[name] ?? name}</label>
        </div>`,
    )}
  </fieldset>
  <div class="field">
    <label for="life">Expires</label>
    <select id="life">${LIVES.map(([days, words]) => html`<option value=${days} defaultSelected=${days === 90}>${words}</option>`)}</select>
  </div>`;

function wishOf(form) {
  const { name, life } = form.elements;
  const permissions = [...form.querySelectorAll("[name=may]:checked")].map(({ value }) => value);
  const expiry = life.value ? { expires_in_days: Number(life.value) } : { never_expires: true };
  return { name: name.value, permissions, ...expiry };
}

const Grace = () => html`
  <p>A new key takes its place, with the same name, permissions and lifetime.</p>
  <div class="field">
    <label for="grace">The old key ends</label>
    <select id="grace" autofocus>${GRACES.map(([days, words]) => html`<option value=${days}>${words}</option>`)}</select>
  </div>`;

/** A dialog that asks for a key, and then shows it: nothing else ever does. */
function KeyDialog({ title, path, verb, fields, wish, onClose, onDone }) {
  const [sending, alone] = useAlone();
  const [problem, setProblem] = useState(null);
  const [made, setMade] = useState(null);
  const submit = (event) => {
    event.preventDefault();
    const form = event.currentTarget;
    return alone(async () => {
      setProblem(null);
      try {
        setMade((await api("POST", path, { body: wish(form) })).key);
        onDone();
      } catch (error) {
        setProblem(error.message);
      }
    });
  };
  if (made)
    return html`
      <${Dialog} title="Save the key now" onClose=${onClose}>
        <p>It cannot be shown again.</p>
        <div class="field">
          <label for="secret">Key of <bdi translate=${false}>${made.name}</bdi></label>
          <input id="secret" type="text" class="code" readonly autofocus value=${made.secret} onFocus=${(event) => event.target.select()} translate=${false} />
          <${Copy} text=${() => made.secret} what="key" />
        </div>
        <footer><button class="primary" type="button" onClick=${onClose}>Done</button></footer>
      <//>`;
  return html`
    <${Dialog} title=${title} onClose=${onClose} busy=${sending}>
      <form autocomplete="off" onSubmit=${submit} onInput=${() => setProblem(null)}>
        ${problem && html`<${Problem}>${sentence(problem)}<//>`}
        ${fields}
        <footer>
          <button type="button" disabled=${sending} onClick=${onClose}>Close</button>
          <button class="primary" disabled=${sending}>${verb}</button>
        </footer>
      </form>
    <//>`;
}

function EndDialog({ of, path, onClose, onDone }) {
  const [sending, alone] = useAlone();
  const [problem, setProblem] = useState(null);
  const end = () => alone(async () => {
    setProblem(null);
    try {
      await api("DELETE", path);
      onClose();
      onDone();
    } catch (error) {
      setProblem(error.message);
    }
  });
  return html`
    <${Dialog} title="End ${of.name}?" onClose=${onClose} busy=${sending}>
      ${problem && html`<${Problem}>${sentence(problem)}<//>`}
      <p>It stops working immediately. The runs that it started, and the schedules and keys that it made, go on.</p>
      <footer>
        <button type="button" autofocus disabled=${sending} onClick=${onClose}>Keep it</button>
        <button class="danger" type="button" disabled=${sending} onClick=${end}>End the key</button>
      </footer>
    <//>`;
}
