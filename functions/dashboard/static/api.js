// Calls to the API, which has the same origin as the page.

import { parse, write } from "./exact.js";
import { isToken, session, signOut } from "./session.js";

/** The root of the stack's paths: assets are at assets/<version>/ below it. */
export const ROOT = new URL("../../", import.meta.url);

const PATIENCE_MS = 30_000;
// The most pages that are loaded of one list.
const MOST_PAGES = 200;
// A smaller difference between the clocks may come from the response's travel time.
const TOLERATED_SKEW_MS = 2_000;

// For errors that API Gateway itself returns.
const OWN_WORDS = { 413: "The request is too large for the server.", 429: "Too many requests at once." };

// Answers that are kept with their tags: the server sends nothing if they still hold. A view polls few addresses.
const MOST_KEPT = 30;

let skewMs = 0;
let kept = { of: null, answers: new Map() };

/** Milliseconds since the epoch by the server's clock: durations must not depend on this machine's clock. */
export const now = () => Date.now() + skewMs;

/** `status` is 0 without a response; `fields` is the error's JSON without its message; wait `waitMs` before retrying. */
export class ApiError extends Error {
  constructor(status, sentence, fields = {}, waitMs = 0) {
    super(sentence);
    this.status = status;
    this.fields = fields;
    this.waitMs = waitMs;
  }

  /** Whether the same call may succeed later. */
  get passes() {
    return this.status === 0 || this.status === 429 || this.status >= 500;
  }
}

/**
 * Returns the JSON of a 2xx response. Throws ApiError, and signs out when the token or the session is no longer valid.
 * Without a token the browser adds the session's cookie. A call for `anyone` needs neither.
 */
export async function api(method, path, { query = {}, body, key, signal, anyone, token = session().token } = {}) {
  const { key: asked } = session();
  if (token === null ? !anyone && asked === null : !isToken(token)) throw refusal(401, "Invalid or expired token", {}, token, asked);
  const url = new URL(path, ROOT);
  for (const [name, value] of Object.entries(query)) if (value) url.searchParams.set(name, value);
  // The header that a page of another origin cannot send.
  const headers = token === null ? { "x-nightshift": "1" } : { authorization: `Bearer ${token}` };
  if (body) headers["content-type"] = "application/json";
  if (key) headers["idempotency-key"] = key;
  const known = method === "GET" ? answersOf(asked).get(url.href) : undefined;
  if (known) headers["if-none-match"] = known.tag;
  const request = new AbortController();
  const stop = () => request.abort();
  const patience = setTimeout(stop, PATIENCE_MS);
  signal?.addEventListener("abort", stop);
  let response, text;
  try {
    response = await fetch(url, {
      method,
      headers,
      body: body && write(body),
      signal: request.signal,
      cache: "no-store",
      credentials: token === null ? "same-origin" : "omit",
    });
    text = await response.text();
  } catch {
    throw new ApiError(0, navigator.onLine ? "The server cannot be reached." : "You are offline.");
  } finally {
    clearTimeout(patience);
    signal?.removeEventListener("abort", stop);
  }
  setClock(response);
  if (response.status === 304 && known) return known.answer;
  const answer = parsed(text);
  if (response.ok && answer) {
    if (method === "GET") keep(answersOf(asked), url.href, { tag: response.headers.get("etag"), answer });
    return answer;
  }
  // The response was cut off, or comes from a proxy: the outcome of the call is unknown.
  if (response.ok) throw new ApiError(0, "The server's answer cannot be read.");
  const { error, message, request_id: id, ...fields } = answer ?? {};
  // Our words are clearer than API Gateway's `message`.
  const said = error ?? OWN_WORDS[response.status] ?? message ?? `The server answered ${response.status}.`;
  throw refusal(response.status, id ? `${said} (request ${id})` : said, fields, token, asked, waitOf(response));
}

/** Signs this tab out, and in a session of the browser all its tabs. Throws ApiError if the server did not end it. */
export async function leave() {
  if (session().token !== null) return signOut();
  try {
    await api("DELETE", "v1/auth/sessions/current");
  } catch (error) {
    // The session has ended already.
    if (error.status !== 401) throw error;
  }
  signOut();
}

/** Loads all pages of a list and joins them into one response. */
export async function whole(path, { query, signal }) {
  let page = await api("GET", path, { query, signal });
  const joined = { ...page };
  for (let count = 1; page.has_more && page.cursor && count < MOST_PAGES; count++) {
    page = await api("GET", path, { query: { ...query, cursor: page.cursor }, signal });
    for (const [name, list] of Object.entries(page)) if (Array.isArray(list)) joined[name] = [...joined[name], ...list];
  }
  return joined;
}

/** The kept answers to the GET requests of a session. Those of another one are dropped. */
function answersOf(session) {
  if (kept.of !== session) kept = { of: session, answers: new Map() };
  return kept.answers;
}

/** Keeps the answer as the newest, if the server gave it a tag. */
function keep(answers, address, answer) {
  answers.delete(address);
  if (answer.tag) answers.set(address, answer);
  if (answers.size > MOST_KEPT) answers.delete(answers.keys().next().value);
}

/** Null if the text is not JSON. */
function parsed(text) {
  try {
    return parse(text);
  } catch {
    return null;
  }
}

/** The time to wait from `Retry-After`, which holds seconds or a date. */
function waitOf({ headers }) {
  const after = headers.get("retry-after");
  return Math.max(0, (after * 1_000 || Date.parse(after) - now()) || 0);
}

/** Returns the error to throw. Signs out if the refused session, `asked`, is still this tab's: another tab may have signed in. */
function refusal(status, sentence, fields, token, asked, waitMs) {
  if (status === 401 && token === session().token && asked === session().key && asked !== null) signOut(sentence);
  return new ApiError(status, sentence, fields, waitMs);
}

function setClock(response) {
  const skew = Date.parse(response.headers.get("date")) - Date.now();
  skewMs = Math.abs(skew) > TOLERATED_SKEW_MS ? skew : 0;
}
