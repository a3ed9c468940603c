// The dialog that makes or changes an alert.

import { html, useRef, useState } from "./html.js";
import { useAlone } from "./alone.js";
import { CHANNELS, EVENTS, Secret } from "./alerts.js";
import { api } from "./api.js";
import { sentence } from "./format.js";
import { Dialog, Problem } from "./parts.js";

/** Without an `alert`, the form makes one. */
export function AlertForm({ team, known, alert, onClose, onDone }) {
  const [sending, alone] = useAlone();
  const [refusal, setRefusal] = useState(null);
  const [stored, setStored] = useState(null);
  const [channel, setChannel] = useState(alert?.channel ?? "mail");
  const [events, setEvents] = useState(alert?.events ?? ["failed"]);
  const form = useRef();
  const submit = (event) => {
    event.preventDefault();
    return alone(async () => {
      setRefusal(null);
      try {
        const body = bodyOf(form.current.elements, { channel, events, alert, known });
        const answer = alert
          ? await api("PATCH", `v1/alerts/${alert.id}`, { body })
          : await api("POST", `v1/teams/${team.id}/alerts`, { body: { ...body, channel } });
        onDone();
        if (answer.secret || answer.notes.length > 0) setStored(answer);
        else onClose();
      } catch (error) {
        setRefusal(error);
        form.current?.elements[error.fields?.field]?.focus?.();
      }
    });
  };
  if (stored) return html`<${Stored} answer=${stored} onClose=${onClose} />`;
  const wrong = (name) => (refusal?.fields?.field === name ? "true" : null);
  const toggle = (name) => setEvents(events.includes(name) ? events.filter((each) => each !== name) : [...events, name]);
  return html`
    <${Dialog} title=${alert ? "Change this alert" : "New alert"} onClose=${onClose} busy=${sending}>
      <form ref=${form} autocomplete="off" onSubmit=${submit}>
        ${refusal && html`<${Problem}>${sentence(refusal.message)}<//>`}
        ${!alert && html`
          <fieldset class="field">
            <legend>Sent by</legend>
            ${Object.entries(CHANNELS).map(([name, title], place) => html`
              <div key=${name} class="switch"><input id="channel-${name}" type="radio" name="channel" autofocus=${place === 0} checked=${channel === name}
                onChange=${() => setChannel(name)} /><label for="channel-${name}">${title}</label></div>`)}
          </fieldset>`}
        ${channel === "mail"
          ? html`
            <div class="field switch">
              <input id="admins" type="checkbox" defaultChecked=${alert?.admins ?? true} /><label for="admins">To all admins of the team</label>
            </div>
            <div class="field">
              <label for="addresses">Further addresses <span class="quiet">optional</span></label>
              <input id="addresses" type="text" spellcheck="false" aria-describedby="addresses-hint" aria-invalid=${wrong("addresses")}
                defaultValue=${alert?.addresses.map(({ address }) => address).join(", ")} />
              <p id="addresses-hint" class="hint">Separated by commas. One outside the team gets a mail first, and confirms that it wants alerts.</p>
            </div>`
          : html`
            <div class="field">
              <label for="url">Address${alert && html` <span class="quiet">optional</span>`}</label>
              <input id="url" key=${channel} type=${channel === "slack" ? "password" : "text"} inputmode="url" spellcheck="false" autocomplete="off" maxlength="2000"
                required=${!alert}
                defaultValue=${channel === "webhook" ? alert?.url : ""} aria-describedby="url-hint" aria-invalid=${wrong("url")} />
              <p id="url-hint" class="hint">${channel === "slack"
                ? "Of an incoming webhook of Slack. It is a secret: it is encrypted and cannot be read again."
                : "A public https address. Its messages are signed with a secret that is shown once."}</p>
            </div>`}
        <fieldset class="field">
          <legend>When</legend>
          ${Object.entries(EVENTS).map(([name, title]) => html`
            <div key=${name} class="switch"><input id="event-${name}" type="checkbox" checked=${events.includes(name)} onChange=${() => toggle(name)} />
              <label for="event-${name}">${title}</label></div>`)}
        </fieldset>
        ${events.includes("overdue") && html`
          <div class="field">
            <label for="overdue_hours">Hours without a success</label>
            <input id="overdue_hours" type="number" min="1" max="8760" required defaultValue=${alert?.overdue_hours ?? 26} aria-invalid=${wrong("overdue_hours")} />
          </div>`}
        <${Some} name="type" title="Job types" all="All job types" chosen=${alert?.job_types} choices=${known.types.map((type) => [type.job_type, type.label])} />
        <${Some} name="project" title="Projects" all="All projects" chosen=${alert?.project_ids} choices=${known.projects.map(({ id, name }) => [id, name])} />
        <div class="field">
          <label for="minutes_between">Minutes between two messages</label>
          <input id="minutes_between" type="number" min="0" max="1440" required defaultValue=${alert?.minutes_between ?? 5} aria-describedby="between-hint" />
          <p id="between-hint" class="hint">What happens in between comes as one message. With 0, each event is a message.</p>
        </div>
        <div class="field">
          <label for="name">Name <span class="quiet">optional</span></label>
          <input id="name" type="text" maxlength="100" defaultValue=${alert?.name} />
        </div>
        <footer>
          <button type="button" disabled=${sending} onClick=${onClose}>Close</button>
          <button class="primary" disabled=${sending}>${sending ? "Saving …" : alert ? "Save" : "Make alert"}</button>
        </footer>
      </form>
    <//>`;
}

/** All of a list, or several of it. `chosen` is null for all. */
function Some({ name, title, all, chosen, choices }) {
  const [isAll, setAll] = useState(!chosen);
  // One that the list does not have stays chosen until the user takes it out.
  const offered = [...choices, ...(chosen ?? []).filter((id) => !choices.some(([each]) => each === id)).map((id) => [id, id])];
  return html`
    <fieldset class="field">
      <legend>${title}</legend>
      <div class="switch"><input id="all-${name}" type="checkbox" checked=${isAll} onChange=${() => setAll(!isAll)} /><label for="all-${name}">${all}</label></div>
      ${!isAll && offered.map(([id, label]) => html`
        <div key=${id} class="switch"><input id="${name}-${id}" type="checkbox" name=${name} value=${id} defaultChecked=${chosen?.includes(id)} />
          <label for="${name}-${id}"><bdi>${label}</bdi></label></div>`)}
    </fieldset>`;
}

function bodyOf(elements, { channel, events, alert }) {
  const url = elements.url?.value.trim();
  return {
    events,
    name: elements.name.value,
    job_types: someOf(elements, "type"),
    project_ids: someOf(elements, "project"),
    minutes_between: elements.minutes_between.valueAsNumber,
    overdue_hours: elements.overdue_hours?.valueAsNumber ?? null,
    ...(channel === "mail"
      ? { admins: elements.admins.checked, addresses: elements.addresses.value.split(/[\s,;]+/).filter(Boolean) }
      : url && url !== alert?.url && { url }),
  };
}

function someOf(elements, name) {
  if (elements[`all-${name}`].checked) return null;
  return [...elements].filter((each) => each.name === name && each.checked).map(({ value }) => value);
}

function Stored({ answer, onClose }) {
  const [isRead, setRead] = useState(false);
  if (answer.secret && !isRead) return html`<${Secret} secret=${answer.secret} onClose=${answer.notes.length > 0 ? () => setRead(true) : onClose} />`;
  return html`
    <${Dialog} title="The alert is stored" onClose=${onClose}>
      ${answer.notes.map((note) => html`<div key=${note} class="notice" role="status"><p>${note}</p></div>`)}
      <footer><button class="primary" type="button" autofocus onClick=${onClose}>Done</button></footer>
    <//>`;
}
