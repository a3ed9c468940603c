// Calls to the API, which lies where the page lies.

import { isToken, session, signOut } from "./session.js";

/** Where the stack's paths begin: assets are at assets/<version>/ below it. */
export const ROOT = new URL("../../", import.meta.url);

const PATIENCE_MS = 30_000;
// A clock that is off by less than this is off by the answer's way, not by itself.
const TOLERATED_SKEW_MS = 2_000;

let skewMs = 0;

/** Milliseconds since the epoch by the server's clock: durations must not depend on how this machine's is set. */
export const now = () => Date.now() + skewMs;

/** `status` is 0 where no answer came; `fields` is the error's JSON beside its sentence. */
export class ApiError extends Error {
  constructor(status, sentence, fields = {}) {
    super(sentence);
    this.status = status;
    this.fields = fields;
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
  const patience = AbortSignal.timeout(PATIENCE_MS);
  let response, answer;
  try {
    response = await fetch(url, {
      method,
      headers,
      body: body && JSON.stringify(body),
      signal: signal ? AbortSignal.any([signal, patience]) : patience,
      cache: "no-store",
      credentials: "omit",
    });
    answer = await response.json().catch(() => null);
  } catch {
    throw new ApiError(0, navigator.onLine ? "The server cannot be reached." : "You are offline.");
  }
  setClock(response);
  if (response.ok && answer) return answer;
  // Cut off on its way, or of something that stands before the server: nothing is known of what became of the call.
  if (response.ok) throw new ApiError(0, "The server's answer cannot be read.");
  const { error, message, request_id: request, ...fields } = answer ?? {};
  // API Gateway's own words for it, without ours, say less.
  const said = error ?? (response.status === 429 ? "Too many requests at once." : message) ?? `The server answered ${response.status}.`;
  throw refusal(response.status, request ? `${said} (request ${request})` : said, fields, token);
}

/** To be thrown. Signs out where it is this session's token that is refused. */
function refusal(status, sentence, fields, token) {
  if (status === 401 && token && token === session().token) signOut(sentence);
  return new ApiError(status, sentence, fields);
}

function setClock(response) {
  const skew = Date.parse(response.headers.get("date")) - Date.now();
  skewMs = Math.abs(skew) > TOLERATED_SKEW_MS ? skew : 0;
}
