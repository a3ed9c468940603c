// The dialog with a person's sessions: which browsers and terminals are signed in, and a way to end each, or all.

import { html, useState } from "./html.js";
import { useAlone } from "./alone.js";
import { api } from "./api.js";
import { usePoll } from "./live.js";
import { Ago, Dialog, Problem } from "./parts.js";
import { session, signOut } from "./session.js";

const PATH = "v1/auth/sessions";

export function View({ onClose }) {
  const poll = usePoll("sessions", (signal) => api("GET", PATH, { signal }), () => Infinity);
  const [ending, alone] = useAlone();
  const [problem, setProblem] = useState(null);
  const sessions = poll.data?.sessions;
  const end = (path, endsThis) =>
    alone(async () => {
      setProblem(null);
      try {
        await api("DELETE", path);
        if (endsThis) signOut();
        else poll.refresh();
      } catch (error) {
        setProblem(error.message);
      }
    });
  const said = problem ?? poll.error?.message;
  return html`
    <${Dialog} title="Your sessions" onClose=${onClose} busy=${ending}>
      ${said && html`<${Problem}>${said}<//>`}
      ${!sessions && !poll.error && html`<p class="quiet" role="status">Loading …</p>`}
      ${sessions?.length === 0 && html`<p>None. You are signed in with a token, which is stored in this tab alone.</p>`}
      ${sessions?.length > 0 && html`<ul class="sessions">${sessions.map((each) => html`<${Session} key=${each.id} ...${{ each, end, ending }} />`)}</ul>`}
      <p class="hint">A session ends by itself after 12 hours without use, and after 30 days.</p>
      <footer>
        <button type="button" disabled=${ending} onClick=${onClose}>Close</button>
        ${sessions?.length > 0 && html`<button class="danger" type="button" disabled=${ending} onClick=${() => end(PATH, session().token === null)}>Sign out everywhere</button>`}
      </footer>
    <//>`;
}

const Session = ({ each, end, ending }) => html`
  <li>
    <div>
      <strong translate=${false}>${each.browser}</strong>${each.is_current && html` <span class="quiet">this browser</span>`}
      <p class="hint">From <span translate=${false}>${each.network}</span>, by ${each.signed_in_by}. Signed in <${Ago} at=${each.created_at} />, last used <${Ago} at=${each.last_used_at} />.</p>
    </div>
    ${!each.is_current && html`<button type="button" disabled=${ending} aria-label=${`End the session of ${each.browser} from ${each.network}`} onClick=${() => end(`${PATH}/${each.id}`, false)}>End</button>`}
  </li>`;
