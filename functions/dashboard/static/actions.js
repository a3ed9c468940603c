// Actions on a run: cancel a live one, rerun an ended one.

import { html, useState } from "./html.js";
import { useAlone } from "./alone.js";
import { api } from "./api.js";
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

export function Rerun({ run }) {
  const [open, setOpen] = useState(false);
  return html`
    <button type="button" onClick=${() => setOpen(true)}>Run again</button>
    ${open && html`<${RerunDialog} run=${run} onClose=${() => setOpen(false)} />`}`;
}

function RerunDialog({ run, onClose }) {
  const mayGoOn = run.status !== "completed" && run.progress?.processed > 0;
  const { start, sending, refusal, clear } = useStart(`v1/jobs/${run.id}/rerun`);
  const submit = async (event) => {
    event.preventDefault();
    // Read from the form: the browser may have changed the choice without an event.
    if (await start({ from: event.currentTarget.elements.from?.value ?? "start" })) onClose();
  };
  const choice = (value, title, hint) => html`
    <div class="field switch">
      <input id="from-${value}" type="radio" name="from" value=${value} defaultChecked=${value === "cursor"} autofocus=${value === "cursor"}
        aria-describedby="from-${value}-hint" onChange=${clear} />
      <div><label for="from-${value}">${title}</label><p id="from-${value}-hint" class="hint">${hint}</p></div>
    </div>`;
  return html`
    <${Dialog} title="Run again" onClose=${onClose} busy=${sending}>
      <form autocomplete="off" onSubmit=${submit}>
        <${Refusal} of=${refusal} />
        <p>This starts a new run with the same project and parameters.</p>
        ${mayGoOn &&
        html`
          <fieldset>
            <legend class="unseen">Starting point</legend>
            ${choice("cursor", "From where this one stopped", "Work that is already done is not repeated.")}
            ${choice("start", "From the start", "All the work is done again.")}
          </fieldset>`}
        <footer>
          <button type="button" disabled=${sending} onClick=${onClose}>Close</button>
          <button class="primary" disabled=${sending}>${sending ? "Starting …" : "Run again"}</button>
        </footer>
      </form>
    <//>`;
}
