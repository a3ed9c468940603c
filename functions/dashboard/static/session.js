// The session of this tab. Only its sessionStorage holds the token, and the browser deletes that with the tab.

import { forget } from "./live.js";

const KEY = "nightshift.token";
const DAMAGED = "The token in this link is damaged. Copy the whole link, or sign in with the token itself.";

let storage = storageOfTab();
let shown = storage[KEY];
let listener = () => {};
let reason = null;
let offered = null;

export const onSessionChange = (fn) => (listener = fn);

/** `offered` is the token of a link, while the user has not yet decided whether to switch to it. */
export const session = () => ({ token: storage[KEY] ?? null, reason, offered });

/** Whether the text can be sent in a header. */
export const isToken = (text) => typeof text === "string" && /^[\x21-\x7e]+$/.test(text);

export function signIn(token) {
  keep(token);
  change(null);
}

/**
 * `sentence` says why the session ended, unless the user signed out. A link's token that is still offered is then used.
 * The address stays, so that signing in leads back to it.
 */
export function signOut(sentence = null) {
  if (sentence && offered) return signIn(offered);
  keep(null);
  change(sentence);
}

/** Keeps the current session. */
export function declineLink() {
  offered = null;
  listener();
}

/** `#token=…` signs in, or asks a user who is already signed in. It is removed from the address first. */
export function takeTokenFromLink() {
  const [, text] = /^#token=(.*)$/.exec(location.hash) ?? [];
  if (text === undefined) return;
  try {
    history.replaceState(history.state, "", location.pathname + location.search);
  } catch {
    location.hash = "";
  }
  const token = decoded(text);
  if (!storage[KEY]) return token ? signIn(token) : signOut(DAMAGED);
  if (token === null || token === storage[KEY]) return;
  offered = token;
  listener();
}

/** Null if the text is not a token. */
function decoded(text) {
  try {
    const token = decodeURIComponent(text).trim();
    return isToken(token) ? token : null;
  } catch {
    return null;
  }
}

// The browser may restore a page from its cache after the session has ended.
addEventListener("pageshow", () => shown !== storage[KEY] && change(null));

function change(sentence) {
  shown = storage[KEY];
  forget();
  reason = sentence;
  offered = null;
  listener();
}

/** If the browser does not allow storage, or it is full, the session ends with the page. */
function keep(token) {
  try {
    delete storage[KEY];
    if (token) storage[KEY] = token;
  } catch {
    storage = token ? { [KEY]: token } : {};
  }
}

function storageOfTab() {
  try {
    return sessionStorage ?? {};
  } catch {
    return {};
  }
}
