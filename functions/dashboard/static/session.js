// Who is signed in, in this tab: sessionStorage ends with it, and nothing else ever holds the token.

import { forget } from "./live.js";

const KEY = "nightshift.token";
const DAMAGED = "That link's token is damaged. Copy the whole link, or sign in with the token itself.";

let storage = storageOfTab();
let shown = storage[KEY];
let listener = () => {};
let reason = null;
let offered = null;

export const onSessionChange = (fn) => (listener = fn);

/** `offered` is the token of a link that waits for an answer: somebody else is signed in. */
export const session = () => ({ token: storage[KEY] ?? null, reason, offered });

/** Whether a header can carry it. */
export const isToken = (text) => typeof text === "string" && /^[\x21-\x7e]+$/.test(text);

export function signIn(token) {
  keep(token);
  change(null);
}

/**
 * `sentence` says why, where the person did not ask for it: then a link that waits has nobody to ask any more.
 * The address stays: signing in leads back to it.
 */
export function signOut(sentence = null) {
  if (sentence && offered) return signIn(offered);
  keep(null);
  change(sentence);
}

/** What is signed in stays. */
export function declineLink() {
  offered = null;
  listener();
}

/** `#token=…` signs in, or asks who would be signed out. Taken out of the address before anything else happens. */
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

/** Null for what is no token. */
function decoded(text) {
  try {
    const token = decodeURIComponent(text).trim();
    return isToken(token) ? token : null;
  } catch {
    return null;
  }
}

// The browser may bring a page back as it was left, from a session that has ended since.
addEventListener("pageshow", () => shown !== storage[KEY] && change(null));

function change(sentence) {
  shown = storage[KEY];
  forget();
  reason = sentence;
  offered = null;
  listener();
}

/** Where the browser lets no page keep anything, or no more, the session is over with the page. */
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
