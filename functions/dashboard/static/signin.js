// The sign-in page: a code by mail, a token, or the operator's link; and the question whether to switch to a link's token.

import { html, useEffect, useRef, useState } from "./html.js";
import { useAlone } from "./alone.js";
import { api } from "./api.js";
import { duration } from "./format.js";
import { Dialog, Mark, Problem } from "./parts.js";
import { declineLink, signIn, signInBrowser } from "./session.js";

// The code that this tab waits for, so that it can still be entered after the page was loaded again.
const ASKED = "nightshift.code";

/** `offered` is the token of a link, beside a session; `link` is the secret of the operator's link. */
export function View({ offered, me, link, ...page }) {
  if (offered) return html`<${LinkAsks} offered=${offered} me=${me} />`;
  return html`
    <main class="signin">
      <div>
        <${Mark} />
        <h1>Sign in to Nightshift</h1>
        ${link === null || link === undefined ? html`<${SignIn} ...${page} />` : html`<${ByLink} link=${link} ...${page} />`}
      </div>
    </main>`;
}

function SignIn({ reason }) {
  const [problem, setProblem] = useState(reason);
  const [asked, setAsked] = useState(remembered);
  const [hasCodes, setHasCodes] = useState(true);
  useEffect(() => void (document.title = "Sign in · Nightshift"), []);
  useEffect(() => setProblem(reason), [reason]);
  useEffect(() => {
    // Without an answer the form stays: it says itself why no code is sent.
    api("GET", "v1/auth/codes", { token: null, anyone: true }).catch(({ status }) => setHasCodes(status !== 404));
  }, []);
  const wait = (asked) => {
    remember(asked);
    setProblem(null);
    setAsked(asked);
  };
  const shown = problem && html`<${Problem}>${problem}<//>`;
  if (asked && hasCodes) return html`${shown}<${Code} asked=${asked} onAsked=${wait} onProblem=${setProblem} />`;
  return html`
    ${shown}
    ${hasCodes && html`<${Email} onAsked=${wait} onProblem=${setProblem} /><p class="or"><span>or</span></p>`}
    <${Token} isAlone=${!hasCodes} onProblem=${setProblem} />`;
}

async function askFor(email, replaces) {
  const body = { email, ...(replaces && { replaces }) };
  const { sign_in: signIn, digits, expires_in_s: lastsS } = await api("POST", "v1/auth/codes", { token: null, anyone: true, body });
  return { email, signIn, digits, until: Date.now() + lastsS * 1_000 };
}

const enter = async (body) => {
  await api("POST", "v1/auth/sessions", { token: null, anyone: true, body });
  remember(null);
  signInBrowser();
};

const sentenceOf = ({ message, waitMs }) => (waitMs > 0 ? `${message} Try again in ${duration(waitMs)}.` : message);

function Email({ onAsked, onProblem }) {
  const field = useRef();
  const [sending, alone] = useAlone();
  useEffect(() => field.current.focus(), []);
  const submit = (event) => {
    event.preventDefault();
    const email = field.current.value.trim();
    alone(() => askFor(email).then(onAsked, (error) => (onProblem(sentenceOf(error)), field.current?.focus())));
  };
  return html`
    <form onSubmit=${submit}>
      <label for="email">E-mail address</label>
      <input id="email" ref=${field} type="text" inputmode="email" required maxlength="254" autocomplete="email" autocapitalize="none" spellcheck="false" aria-describedby="email-hint" />
      <p id="email-hint" class="hint">You get a mail with a code, which signs this browser in.</p>
      <button class="primary" disabled=${sending}>${sending ? "Sending …" : "Send code"}</button>
    </form>`;
}

function Code({ asked, onAsked, onProblem }) {
  const field = useRef();
  const [sending, alone] = useAlone();
  useEffect(() => field.current.focus(), [asked]);
  const failed = (error) => {
    onProblem(sentenceOf(error));
    field.current?.select();
    field.current?.focus();
  };
  const submit = (event) => {
    event.preventDefault();
    alone(() => enter({ sign_in: asked.signIn, code: field.current.value }).catch(failed));
  };
  const again = () => alone(() => askFor(asked.email, asked.signIn).then(onAsked, failed));
  return html`
    <form onSubmit=${submit}>
      <p class="sent" role="status">If <strong translate=${false}>${asked.email}</strong> is known here, a mail with a code is on its way to it. This can take a minute.</p>
      <label for="code">Code</label>
      <input id="code" class="code" ref=${field} required inputmode="numeric" autocomplete="one-time-code" spellcheck="false" maxlength=${asked.digits + 3}
        pattern=${`([\\s\\-]*[0-9]){${asked.digits}}[\\s\\-]*`} title=${`${asked.digits} digits`} aria-describedby="code-hint" />
      <p id="code-hint" class="hint">It works once, within ten minutes, in this tab.</p>
      <button class="primary" disabled=${sending}>${sending ? "Signing in …" : "Sign in"}</button>
      <footer>
        <button class="plain" type="button" disabled=${sending} onClick=${again}>Send another code</button>
        <button class="plain" type="button" disabled=${sending} onClick=${() => onAsked(null)}>Use another way</button>
      </footer>
    </form>`;
}

function Token({ isAlone, onProblem }) {
  const field = useRef();
  const [sending, alone] = useAlone();
  useEffect(() => void (isAlone && field.current.focus()), [isAlone]);
  const send = async (token) => {
    try {
      await api("GET", "v1/auth/whoami", { token });
      signIn(token);
    } catch (error) {
      onProblem(error.message);
      field.current?.focus();
    }
  };
  const submit = (event) => {
    event.preventDefault();
    const token = field.current.value.trim();
    alone(() => send(token));
  };
  return html`
    <form onSubmit=${submit}>
      <label for="token">Token or agent key</label>
      <input id="token" ref=${field} type="password" required autocomplete="off" spellcheck="false" aria-describedby="token-hint" />
      <p id="token-hint" class="hint">
        A token from your identity provider, or an agent key, which begins with <code>owl_agent_</code>.
        It is stored only in this tab, until you close it.
      </p>
      <button class=${isAlone ? "primary" : "wide"} disabled=${sending}>${sending ? "Signing in …" : "Sign in"}</button>
    </form>`;
}

/** The link is used by a click alone. */
function ByLink({ link, isOpen }) {
  const [sending, alone] = useAlone();
  const [problem, setProblem] = useState(null);
  useEffect(() => void (document.title = "Sign in · Nightshift"), []);
  const use = () => alone(() => enter({ link }).catch((error) => setProblem(sentenceOf(error))));
  return html`
    ${problem && html`<${Problem}>${problem}<//>`}
    <p>The link that you opened signs this browser in, once.${isOpen && " It replaces the session that you have here."}</p>
    <p class="hint">Use it only if you have asked the server's operator for it.</p>
    <button class="primary" type="button" autofocus disabled=${sending} onClick=${use}>${sending ? "Signing in …" : "Sign in"}</button>
    <footer><button class="plain" type="button" disabled=${sending} onClick=${declineLink}>${isOpen ? "Stay signed in" : "Use another way"}</button></footer>`;
}

/** A link may come from anyone, so it must not replace a session without asking. */
const LinkAsks = ({ offered, me }) => html`
  <${Dialog} title="Sign in with this link?" onClose=${declineLink}>
    <p>You are signed in${me && html` as <strong>${me.name}</strong>`}. The link that you opened contains another token. If you use it, this tab switches to that token.</p>
    <footer>
      <button type="button" autofocus onClick=${declineLink}>Stay signed in</button>
      <button class="primary" type="button" onClick=${() => signIn(offered)}>Use the link</button>
    </footer>
  <//>`;

function remembered() {
  try {
    const asked = JSON.parse(sessionStorage[ASKED] ?? null);
    return asked?.until > Date.now() ? asked : null;
  } catch {
    return null;
  }
}

/** Where the browser keeps nothing, the code must be entered before the page is loaded again. */
function remember(asked) {
  try {
    delete sessionStorage[ASKED];
    if (asked) sessionStorage[ASKED] = JSON.stringify(asked);
  } catch {
    // Nothing is kept.
  }
}
