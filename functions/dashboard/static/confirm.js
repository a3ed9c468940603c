// The page of the link in the mail that asks whether alerts may be sent to an address. Its reader needs no account. The
// click confirms, not the visit: mail programs and scanners visit links.

import { html, useEffect, useRef, useState } from "./html.js";
import { useAlone } from "./alone.js";
import { api } from "./api.js";
import { sentence } from "./format.js";
import { Mark, Problem } from "./parts.js";

export function View() {
  const token = useRef(location.hash.slice(1));
  const [busy, alone] = useAlone();
  const [confirmed, setConfirmed] = useState(null);
  const [problem, setProblem] = useState(null);
  useEffect(() => void (document.title = "Confirm an address · Nightshift"), []);
  const confirm = () => alone(async () => {
    setProblem(null);
    try {
      setConfirmed(await api("POST", "v1/alert-addresses/confirm", { body: { token: token.current }, anyone: true, token: null }));
    } catch (error) {
      setProblem(error.message);
    }
  });
  return html`
    <main id="main">
      <section class="blank">
        <${Mark} />
        ${confirmed
          ? html`<h1>Confirmed</h1><p role="status">Alerts of the team <bdi>${confirmed.team}</bdi> are sent to <bdi>${confirmed.address}</bdi> from now on.</p>`
          : html`
            <h1>Do you want these alerts?</h1>
            <p>A team wants to send alerts about its background jobs to your address. Without your confirmation, it gets none.</p>
            ${problem && html`<${Problem}>${sentence(problem)}<//>`}
            <div class="actions"><button class="primary" type="button" disabled=${busy || !token.current} onClick=${confirm}>${busy ? "Sending …" : "Confirm"}</button></div>`}
      </section>
    </main>`;
}
