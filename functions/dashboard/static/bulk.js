// Many runs at once, in one dialog: a preview of what will be cancelled or run again, then its progress and its result.

import { html, useEffect, useState } from "./html.js";
import { useAlone } from "./alone.js";
import { api, whole } from "./api.js";
import { moment, number, sentence } from "./format.js";
import { usePoll } from "./live.js";
import { Announce, Dialog, Problem } from "./parts.js";

const EVERY_MS = 2_000;
const COLUMNS = ["run_id", "project_id", "job_type", "run_created_at", "outcome", "reason", "new_run_id"];
const TITLES = { cancel: "Cancel these runs?", rerun: "Run these again?" };

/** `wanted` is `{run_ids}` or `{match}`: the runs that the person chose, or the filters. `shown` is an earlier action. */
export const View = ({ shown, ...rest }) => (shown ? html`<${Earlier} shown=${shown} ...${rest} />` : html`<${New} ...${rest} />`);

function Earlier({ team, shown, onClose }) {
  const [stopped, setStopped] = useState(null);
  const [problem, setProblem] = useState(null);
  const [busy, alone] = useAlone();
  const path = `v1/teams/${team.id}/bulk-actions/${shown.id}`;
  const stop = () => alone(async () => {
    try {
      setStopped((await api("POST", `${path}/stop`)).bulk_action);
    } catch (error) {
      setProblem(error.message);
    }
  });
  return html`<${Working} first=${stopped ?? shown} onStop=${stop} ...${{ path, problem, busy, onClose }} />`;
}

function New({ team, action: kind, wanted, onClose }) {
  const [from, setFrom] = useState("start");
  const [made, setMade] = useState(null);
  const [problem, setProblem] = useState(null);
  const [busy, alone] = useAlone();
  const actions = `v1/teams/${team.id}/bulk-actions`;

  useEffect(() => {
    let left = false;
    setMade(null);
    setProblem(null);
    api("POST", actions, { body: { action: kind, from, ...wanted } }).then(
      (answer) => left || setMade(answer),
      (error) => left || setProblem(error.message),
    );
    return () => void (left = true);
  }, [from]);

  const action = made?.bulk_action;
  const send = (what) => alone(async () => {
    setProblem(null);
    try {
      setMade({ ...made, ...(await api("POST", `${actions}/${action.id}/${what}`)) });
    } catch (error) {
      setProblem(error.message);
    }
  });
  if (action && action.state !== "preview")
    return html`<${Working} ...${{ first: action, path: `${actions}/${action.id}`, problem, busy, onClose }} onStop=${() => send("stop")} />`;
  const count = action?.figures.to_do ?? 0;
  const does = kind === "cancel" ? `Cancel ${number(count)}` : `Run ${number(count)} again`;
  return html`
    <${Dialog} title=${TITLES[kind]} onClose=${onClose} busy=${busy}>
      ${problem && html`<${Problem}>${sentence(problem)}<//>`}
      ${kind === "rerun" && html`<${Start} from=${from} onChange=${setFrom} />`}
      ${action ? html`<${Preview} ...${{ action, searched: made.searched }} />` : !problem && html`<p class="quiet" role="status">Looking for the runs …</p>`}
      ${action?.figures.runs > 0 && html`<${Downloads} path="${actions}/${action.id}" name=${kind} />`}
      <footer>
        <button type="button" autofocus disabled=${busy} onClick=${onClose}>Close</button>
        <button class=${kind === "cancel" ? "danger" : "primary"} type="button" disabled=${busy || count === 0} onClick=${() => send("confirm")}>
          ${busy ? "Starting …" : does}
        </button>
      </footer>
    <//>`;
}

const Start = ({ from, onChange }) => html`
  <fieldset>
    <legend class="unseen">Starting point</legend>
    ${[["start", "From the start", "All the work is done again."], ["cursor", "From where each one stopped", "Work that is already done is not repeated."]].map(
      ([value, title, hint]) => html`
        <div class="field switch">
          <input id="bulk-${value}" type="radio" name="bulk-from" value=${value} checked=${from === value} aria-describedby="bulk-${value}-hint" onChange=${() => onChange(value)} />
          <div><label for="bulk-${value}">${title}</label><p id="bulk-${value}-hint" class="hint">${hint}</p></div>
        </div>`,
    )}
  </fieldset>`;

function Preview({ action: { action, figures, reasons }, searched }) {
  const count = (of, name) => `${number(of)} ${name}${of === 1 ? "" : "s"}`;
  return html`
    <p role="status">
      <strong>${count(figures.runs, "run")}</strong> in ${count(figures.projects, "project")}:${" "}
      <strong>${number(figures.to_do)}</strong> will be ${action === "cancel" ? "cancelled" : "run again"}.
    </p>
    ${figures.superseded > 0 && html`<p>${number(figures.superseded)} ${figures.superseded === 1 ? "is" : "are"} superseded: of each project and type, only the newest run is run again.</p>`}
    <${Reasons} of=${reasons} />
    ${searched && html`<p class="hint">The search looked at the newest ${number(searched.runs)} runs${searched.back_to && `, back to ${moment(Date.parse(searched.back_to))}`}.</p>`}`;
}

const Reasons = ({ of }) => of.length > 0 && html`
  <p>Left out:</p>
  <ul class="reasons">${of.map(({ reason, runs }) => html`<li><strong>${number(runs)}</strong> ${reason}</li>`)}</ul>`;

/** The progress of a confirmed action, and its result. It goes on if this dialog is closed. */
function Working({ first, path, problem, busy, onStop, onClose }) {
  const poll = usePoll(`bulk:${first.id}`, async (signal) => (await api("GET", path, { signal })).bulk_action, (action) => (action.state === "working" ? EVERY_MS : Infinity));
  const action = poll.data && first.state !== "ended" ? poll.data : first;
  const { figures, state } = action;
  const done = figures.started + figures.cancelled + figures.asked_to_stop;
  const words = [
    [figures.started, "run again"],
    [figures.cancelled, "cancelled"],
    [figures.asked_to_stop, "asked to stop at their next step"],
    [figures.superseded, "superseded by a newer run"],
    [figures.skipped, "left out"],
    [figures.to_do, "to do"],
  ];
  return html`
    <${Dialog} title=${state === "ended" ? "Done" : "At work"} onClose=${onClose} busy=${busy}>
      ${(problem || poll.error) && html`<${Problem}>${sentence(problem ?? poll.error.message)}<//>`}
      <progress class=${state === "ended" ? "completed" : "running"} value=${figures.runs - figures.to_do} max=${figures.runs || 1} aria-label="Progress of the action"></progress>
      <${Announce} text=${state === "ended" ? `Done: ${number(done)} of ${number(figures.runs)}` : "At work"} />
      <dl class="facts">${words.filter(([count]) => count > 0).map(([count, name]) => html`<div><dt>${name[0].toUpperCase() + name.slice(1)}</dt><dd class="figures">${number(count)}</dd></div>`)}</dl>
      <${Reasons} of=${action.reasons} />
      ${state === "working" && html`<p class="hint">It goes on by itself, once a minute. You can close this window.</p>`}
      <${Downloads} path=${path} name=${action.action} />
      <footer>
        ${state === "working" && html`<button type="button" disabled=${busy} onClick=${onStop}>Stop</button>`}
        <button class="primary" type="button" autofocus disabled=${busy} onClick=${onClose}>Close</button>
      </footer>
    <//>`;
}

function Downloads({ path, name }) {
  const [busy, alone] = useAlone();
  const [problem, setProblem] = useState(null);
  const store = (kind) => alone(async () => {
    setProblem(null);
    try {
      const { items } = await whole(`${path}/items`, {});
      const text = kind === "json" ? `${JSON.stringify(items, null, 2)}\n` : csv(items);
      const link = document.createElement("a");
      link.href = URL.createObjectURL(new Blob([text], { type: kind === "json" ? "application/json" : "text/csv" }));
      link.download = `nightshift-${name}.${kind}`;
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
    } catch (error) {
      setProblem(error.message);
    }
  });
  return html`
    <p class="downloads">
      <button class="plain" type="button" disabled=${busy} onClick=${() => store("csv")}>Download as CSV</button>
      <button class="plain" type="button" disabled=${busy} onClick=${() => store("json")}>Download as JSON</button>
    </p>
    ${problem && html`<${Problem}>${sentence(problem)}<//>`}`;
}

const csv = (items) => [COLUMNS, ...items.map((item) => COLUMNS.map((name) => item[name]))].map((row) => row.map(cell).join(",")).join("\n") + "\n";

/** A spreadsheet must not take a text for a formula. */
function cell(value) {
  const text = String(value ?? "").replace(/^[=+\-@\t\r]/, "'$&");
  return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
