// Actions on a run: cancel a live one, rerun an ended one.

import { html, useMemo, useState } from "./html.js";
import { useAlone } from "./alone.js";
import { api } from "./api.js";
import { Fields, fieldsOf, paramsOf } from "./fields.js";
import { Dialog, Problem } from "./parts.js";
import { Refusal, useStart } from "./start.js";

export function Cancel({ run, asked, onDone }) {
  const [open, setOpen] = useState(false);
  const [sending, alone] = useAlone();
  const [problem, setProblem] = useState(null);
  const close = () => {
    setOpen(false);
    setProblem(null);
  };
  const cancel = () => alone(async () => {
    try {
      await api("POST", `v1/jobs/${run.id}/cancel`);
      close();
      onDone();
    } catch (error) {
      setProblem(error.message);
    }
  });
  return html`
    <button type="button" disabled=${asked} onClick=${() => setOpen(true)}>${asked ? "Asked to stop" : "Cancel"}</button>
    ${open &&
    html`
      <${Dialog} title="Cancel this run?" onClose=${close} busy=${sending}>
        ${problem && html`<${Problem}>${problem}<//>`}
        <p>The run stops at its next step. Work that is already done is kept.</p>
        <footer>
          <button type="button" autofocus disabled=${sending} onClick=${close}>Keep it running</button>
          <button class="danger" type="button" disabled=${sending} onClick=${cancel}>${sending ? "Cancelling …" : "Cancel run"}</button>
        </footer>
      <//>`}`;
}

/** `type` is the run's job type, with the schema of its parameters. */
export function Rerun({ run, type }) {
  const [open, setOpen] = useState(false);
  return html`
    <button type="button" onClick=${() => setOpen(true)}>Run again</button>
    ${open && html`<${RerunDialog} run=${run} type=${type} onClose=${() => setOpen(false)} />`}`;
}

function RerunDialog({ run, type, onClose }) {
  const mayGoOn = run.status !== "completed" && run.progress?.processed > 0;
  const [from, setFrom] = useState(mayGoOn ? "cursor" : "start");
  // The dialog sends only parameters that the user has changed: the form may not show all of them.
  const [isChanged, setChanged] = useState(false);
  const { start, sending, refusal, refuse, clear } = useStart(`v1/jobs/${run.id}/rerun`);
  const schema = JSON.stringify(type.params);
  const fields = useMemo(() => fieldsOf(type.params ?? {}, run.params), [schema, run.id]);
  const submit = async (event) => {
    event.preventDefault();
    const form = event.currentTarget;
    // Read from the form: the browser may have changed the choice without an event.
    const chosen = form.elements.from?.value ?? "start";
    if (chosen !== from) return setFrom(chosen);
    try {
      if (await start({ from, ...(from === "start" && isChanged && { params: paramsOf(fields, form) }) })) onClose();
    } catch (error) {
      refuse(error);
    }
  };
  const choose = (value) => {
    clear();
    setFrom(value);
    setChanged(false);
  };
  const change = () => {
    clear();
    setChanged(true);
  };
  const choice = (value, title, hint) => html`
    <div class="field switch">
      <input id="from-${value}" type="radio" name="from" value=${value} checked=${value === from} autofocus=${value === "cursor"}
        aria-describedby="from-${value}-hint" onChange=${() => choose(value)} />
      <div><label for="from-${value}">${title}</label><p id="from-${value}-hint" class="hint">${hint}</p></div>
    </div>`;
  return html`
    <${Dialog} title="Run again" onClose=${onClose} busy=${sending}>
      <form autocomplete="off" onSubmit=${submit}>
        <${Refusal} of=${refusal} />
        <p>This starts a new run of the same project${from === "cursor" || fields.length === 0 ? ", with the same parameters" : ""}.</p>
        ${mayGoOn &&
        html`
          <fieldset>
            <legend class="unseen">Starting point</legend>
            ${choice("cursor", "From where this one stopped", "Work that is already done is not repeated.")}
            ${choice("start", "From the start", "All the work is done again.")}
          </fieldset>`}
        ${from === "start" && fields.length > 0 && html`<div onInput=${change}><${Fields} fields=${fields} /></div>`}
        <footer>
          <button type="button" disabled=${sending} onClick=${onClose}>Close</button>
          <button class="primary" disabled=${sending}>${sending ? "Starting …" : "Run again"}</button>
        </footer>
      </form>
    <//>`;
}
