// Calls to the API, which lies where the page lies.

import { parse, write } from "./exact.js";
import { isToken, session, signOut } from "./session.js";

/** Where the stack's paths begin: assets are at assets/<version>/ below it. */
export const ROOT = new URL("../../", import.meta.url);

const PATIENCE_MS = 30_000;
// A list goes on for as many answers as this at most.
const MOST_PAGES = 200;
// A clock that is off by less than this is off by the answer's way, not by itself.
const TOLERATED_SKEW_MS = 2_000;

// Where API Gateway answers in place of the API.
const OWN_WORDS = { 413: "That is more than the server takes at once.", 429: "Too many requests at once." };

let skewMs = 0;

/** Milliseconds since the epoch by the server's clock: durations must not depend on how this machine's is set. */
export const now = () => Date.now() + skewMs;

/** `status` is 0 where no answer came; `fields` is the error's JSON beside its sentence; before `waitMs` no call is welcome. */
export class ApiError extends Error {
  constructor(status, sentence, fields = {}, waitMs = 0) {
    super(sentence);
    this.status = status;
    this.fields = fields;
    this.waitMs = waitMs;
  }

  /** Whether the same call may succeed a little later. */
  get passes() {
    return this.status === 0 || this.status === 429 || this.status >= 500;
  }
}

/** The JSON of a 2xx answer. Throws ApiError, and signs out when the token is no longer good. */
export async function api(method, path, { query = {}, body, key, signal, token = session().token } = {}) {
  if (!isToken(token)) throw refusal(401, "Invalid or expired token", {}, token);
  const url = new URL(path, ROOT);
  for (const [name, value] of Object.entries(query)) if (value) url.searchParams.set(name, value);
  const headers = { authorization: `Bearer ${token}` };
  if (body) headers["content-type"] = "application/json";
  if (key) headers["idempotency-key"] = key;
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
      credentials: "omit",
    });
    text = await response.text();
  } catch {
    throw new ApiError(0, navigator.onLine ? "The server cannot be reached." : "You are offline.");
  } finally {
    clearTimeout(patience);
    signal?.removeEventListener("abort", stop);
  }
  setClock(response);
  const answer = parsed(text);
  if (response.ok && answer) return answer;
  // Cut off on its way, or of something that stands before the server: nothing is known of what became of the call.
  if (response.ok) throw new ApiError(0, "The server's answer cannot be read.");
  const { error, message, request_id: id, ...fields } = answer ?? {};
  // API Gateway's own words for it, without ours, say less.
  const said = error ?? OWN_WORDS[response.status] ?? message ?? `The server answered ${response.status}.`;
  throw refusal(response.status, id ? `${said} (request ${id})` : said, fields, token, waitOf(response));
}

/** The answers of all pages as one, whose lists are whole. */
export async function whole(path, { query, signal }) {
  let page = await api("GET", path, { query, signal });
  const joined = { ...page };
  for (let count = 1; page.has_more && page.cursor && count < MOST_PAGES; count++) {
    page = await api("GET", path, { query: { ...query, cursor: page.cursor }, signal });
    for (const [name, list] of Object.entries(page)) if (Array.isArray(list)) joined[name] = [...joined[name], ...list];
  }
  return joined;
}

/** Null for what is no JSON. */
function parsed(text) {
  try {
    return parse(text);
  } catch {
    return null;
  }
}

/** Of `Retry-After`, which is seconds or a moment. */
function waitOf({ headers }) {
  const after = headers.get("retry-after");
  return Math.max(0, (after * 1_000 || Date.parse(after) - now()) || 0);
}

/** To be thrown. Signs out where it is this session's token that is refused. */
function refusal(status, sentence, fields, token, waitMs) {
  if (status === 401 && token && token === session().token) signOut(sentence);
  return new ApiError(status, sentence, fields, waitMs);
}

function setClock(response) {
  const skew = Date.parse(response.headers.get("date")) - Date.now();
  skewMs = Math.abs(skew) > TOLERATED_SKEW_MS ? skew : 0;
}
