// Who is signed in, in this tab: sessionStorage ends with it, and nothing else ever holds the token.

import { forget } from "./live.js";

const KEY = "nightshift.token";

let shown = sessionStorage.getItem(KEY);
let listener = () => {};
let reason = null;

export const onSessionChange = (fn) => (listener = fn);

export const session = () => ({ token: sessionStorage.getItem(KEY), reason });

/** Whether a header can carry it. */
export const isToken = (text) => /^[\x21-\x7e]+$/.test(text);

export function signIn(token) {
  sessionStorage.setItem(KEY, token);
  change(null);
}

/** `sentence` says why, where the person did not ask for it. The address stays: signing in leads back to it. */
export function signOut(sentence = null) {
  sessionStorage.removeItem(KEY);
  change(sentence);
}

/** `#token=…` signs in. Taken out of the address before anything else happens. */
export function takeTokenFromLink() {
  const [, token] = /^#token=(.*)$/.exec(location.hash) ?? [];
  if (token === undefined) return;
  history.replaceState(history.state, "", location.pathname + location.search);
  try {
    signIn(decoded(token));
  } catch {
    signOut("That link's token is damaged. Copy the whole link, or sign in with the token itself.");
  }
}

/** Throws for what is no token. */
function decoded(text) {
  const token = decodeURIComponent(text).trim();
  if (!isToken(token)) throw new RangeError("no token");
  return token;
}

// The browser may bring a page back as it was left, from a session that has ended since.
addEventListener("pageshow", () => shown !== sessionStorage.getItem(KEY) && change(null));

function change(sentence) {
  shown = sessionStorage.getItem(KEY);
  forget();
  reason = sentence;
  listener();
}
