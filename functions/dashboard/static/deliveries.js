// The last deliveries of an alert, with what the endpoint answered, and the replay of one.

import { html, useState } from "./html.js";
import { useAlone } from "./alone.js";
import { api } from "./api.js";
import { capital, moment, sentence } from "./format.js";
import { usePoll } from "./live.js";
import { Ago, Dialog, Problem } from "./parts.js";
import { Link, toRun } from "./router.js";

const EVERY_MS = 2_000;
const SHOWN = 30;
const STATES = { held: "Waits for the pause between messages", unsent: "Not sent yet", sent: "Sent", failed: "Failed", digested: "Sent with others" };

export function Deliveries({ alert, onClose }) {
  const path = `v1/alerts/${alert.id}/deliveries`;
  const poll = usePoll(path, (signal) => api("GET", path, { query: { limit: SHOWN }, signal }), () => EVERY_MS);
  const found = poll.data?.deliveries ?? [];
  return html`
    <${Dialog} title="Deliveries" onClose=${onClose}>
      ${!poll.data && (poll.error ? html`<p role="alert">${sentence(poll.error.message)}</p>` : html`<p class="quiet" role="status">Loading …</p>`)}
      ${poll.data && found.length === 0 && html`<p>Nothing has been sent yet.</p>`}
      <ul class="slots">${found.map((delivery) => html`<${Delivery} key=${delivery.id} delivery=${delivery} mayReplay=${alert.channel !== "mail"} onChange=${poll.refresh} />`)}</ul>
      ${poll.data?.has_more && html`<p class="hint">These are the last ${SHOWN}.</p>`}
      <footer><button type="button" autofocus onClick=${onClose}>Close</button></footer>
    <//>`;
}

function Delivery({ delivery, mayReplay, onChange }) {
  const [busy, alone] = useAlone();
  const [problem, setProblem] = useState(null);
  const replay = () => alone(async () => {
    setProblem(null);
    try {
      await api("POST", `v1/alert-deliveries/${delivery.id}/replay`, { body: {} });
      onChange();
    } catch (error) {
      setProblem(error.message);
    }
  });
  const { kind, status, tries, answer_status: code, answer, error, run_id: run, data } = delivery;
  const about = data.project ? `: ${data.project.name}` : kind === "digest" ? `: ${data.count} events` : "";
  return html`
    <li>
      <p><strong>${capital(kind)}</strong><bdi>${about}</bdi>, <${Ago} at=${delivery.created_at} /></p>
      <p class=${status === "failed" ? "bad" : "quiet"}>
        ${STATES[status] ?? status}${code && `, answered with ${code}`}${tries > 1 && `, ${tries} tries`}${status === "unsent" && tries > 0 && `, next try ${moment(Date.parse(delivery.send_at))}`}
        ${run && html` · <${Link} href=${toRun(run)}>Open the run<//>`}
      </p>
      ${error && html`<p class="quiet"><bdi>${sentence(error)}</bdi></p>`}
      ${answer && html`<details><summary>Answer</summary><pre class="code" tabindex="0" translate=${false}>${answer}</pre></details>`}
      ${problem && html`<${Problem}>${sentence(problem)}<//>`}
      ${mayReplay && ["sent", "failed"].includes(status) && html`<button class="plain" type="button" disabled=${busy} onClick=${replay}>${busy ? "Sending …" : "Send again"}</button>`}
    </li>`;
}
