// The sign-in page, and the question whether to switch to the token of a link.

import { html, useEffect, useRef, useState } from "./html.js";
import { useAlone } from "./alone.js";
import { api } from "./api.js";
import { Dialog, Mark, Problem } from "./parts.js";
import { declineLink, signIn } from "./session.js";

export function SignIn({ reason }) {
  const field = useRef();
  const [problem, setProblem] = useState(reason);
  const [sending, alone] = useAlone();
  useEffect(() => {
    document.title = "Sign in · Nightshift";
    field.current.focus();
  }, []);
  useEffect(() => setProblem(reason), [reason]);

  const send = async (token) => {
    try {
      await api("GET", "v1/auth/whoami", { token });
      signIn(token);
    } catch (error) {
      setProblem(error.message);
      field.current?.focus();
    }
  };
  const submit = (event) => {
    event.preventDefault();
    const token = event.currentTarget.elements.token.value.trim();
    alone(() => send(token));
  };

  return html`
    <main class="signin">
      <form onSubmit=${submit}>
        <${Mark} />
        <h1>Sign in to Nightshift</h1>
        ${problem && html`<${Problem}>${problem}<//>`}
        <label for="token">Token or agent key</label>
        <input id="token" ref=${field} type="password" required autocomplete="off" spellcheck="false" aria-describedby="token-hint" />
        <p id="token-hint" class="hint">
          A token from your identity provider, or an agent key, which begins with <code>owl_agent_</code>.
          It is stored only in this tab, until you close it.
        </p>
        <button class="primary" disabled=${sending}>${sending ? "Signing in …" : "Sign in"}</button>
      </form>
    </main>`;
}

/** A link may come from anyone, so it must not replace a session without asking. */
export const LinkAsks = ({ offered, me }) => html`
  <${Dialog} title="Sign in with this link?" onClose=${declineLink}>
    <p>You are signed in${me && html` as <strong>${me.name}</strong>`}. The link that you opened contains another token. If you use it, this tab switches to that token.</p>
    <footer>
      <button type="button" autofocus onClick=${declineLink}>Stay signed in</button>
      <button class="primary" type="button" onClick=${() => signIn(offered)}>Use the link</button>
    </footer>
  <//>`;
