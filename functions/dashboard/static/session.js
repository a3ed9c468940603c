// Who this tab works for: the token that only its sessionStorage holds, and that the browser deletes with the tab; or else
// the session of the whole browser, whose cookie no script can read. A mark in the localStorage says that there is one.

import { forget } from "./live.js";

const TOKEN = "nightshift.token";
const MARK = "nightshift.session";
const DAMAGED = "The token in this link is damaged. Copy the whole link, or sign in with the token itself.";

let storage = storageOf("sessionStorage");
let marks = storageOf("localStorage");
let shown = key();
let listener = () => {};
let reason = null;
let offered = null;
let link = null;

export const onSessionChange = (fn) => (listener = fn);

/**
 * `key` is null if no one is signed in; `token` is null in a session of the browser. `offered` is the token of a link,
 * while the user has not yet decided whether to switch to it; `link` is the secret of an operator's link.
 */
export const session = () => ({ key: key(), token: storage[TOKEN] ?? null, reason, offered, link });

/** Whether the text can be sent in a header. */
export const isToken = (text) => typeof text === "string" && /^[\x21-\x7e]+$/.test(text);

export function signIn(token) {
  keep(token);
  change(null);
}

/** Call this when the browser has got a session's cookie. The other tabs learn it by the mark. */
export function signInBrowser() {
  keep(null);
  mark(`${Date.now()}`);
  change(null);
}

/**
 * `sentence` says why the session ended, unless the user signed out. A link's token that is still offered is then used.
 * The address stays, so that signing in leads back to it.
 */
export function signOut(sentence = null) {
  if (sentence && offered) return signIn(offered);
  if (storage[TOKEN]) keep(null);
  else mark(null);
  change(sentence);
}

/** Keeps the current session. */
export function declineLink() {
  offered = link = null;
  listener();
}

/**
 * `#token=…` signs in, or asks a user who is already signed in. `#sign-in=…` always asks: programs that scan mails open
 * links, too, and this one works once. Both are removed from the address first.
 */
export function takeTokenFromLink() {
  const [, kind, text] = /^#(token|sign-in)=(.*)$/.exec(location.hash) ?? [];
  if (text === undefined) return;
  try {
    history.replaceState(history.state, "", location.pathname + location.search);
  } catch {
    location.hash = "";
  }
  const token = decoded(text);
  if (kind === "sign-in") {
    link = token ?? "";
    return listener();
  }
  if (key() === null) return token ? signIn(token) : signOut(DAMAGED);
  if (token === null || token === storage[TOKEN]) return;
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

/** Changes with each session, so that the page begins anew. */
function key() {
  return storage[TOKEN] ?? marks[MARK] ?? null;
}

// The browser may restore a page from its cache after the session has ended, and other tabs start and end sessions.
const look = () => shown !== key() && change(null);
addEventListener("pageshow", look);
addEventListener("storage", look);

function change(sentence) {
  shown = key();
  forget();
  reason = sentence;
  offered = link = null;
  listener();
}

const keep = (token) => (storage = put(storage, TOKEN, token));
const mark = (text) => (marks = put(marks, MARK, text));

/** Returns the storage with the text, or without it. If the browser does not allow it, the session ends with the page. */
function put(kept, name, text) {
  try {
    delete kept[name];
    if (text) kept[name] = text;
    return kept;
  } catch {
    return text ? { [name]: text } : {};
  }
}

function storageOf(name) {
  try {
    return window[name] ?? {};
  } catch {
    return {};
  }
}
