// Starting a run, from the dialog or from an ended one: once, whatever is clicked twice or lost on the way.

import { html, useEffect, useRef, useState } from "./html.js";
import { useAlone } from "./alone.js";
import { api } from "./api.js";
import { write } from "./exact.js";
import { duration } from "./format.js";
import { Problem } from "./parts.js";
import { go, Link, toRun } from "./router.js";

/** `start(wish)` leads to the run and is true, or false with a `refusal`; `refuse(error)` shows one without asking. */
export function useStart(path) {
  const [sending, alone] = useAlone();
  const [refusal, setRefusal] = useState(null);
  const sent = useRef({});
  const mounted = useRef(true);
  useEffect(() => () => (mounted.current = false), []);

  const send = async (wish) => {
    const text = write(wish);
    // The same wish has the same key: where only the answer was lost, the next try finds the run that was made.
    if (sent.current.text !== text) sent.current = { text, key: newKey() };
    setRefusal(null);
    try {
      const { job_run: run } = await api("POST", path, { body: wish, key: sent.current.key });
      // Who has gone back meanwhile is not taken away from there.
      if (mounted.current) go(toRun(run.id));
      return true;
    } catch (error) {
      setRefusal(error);
      return false;
    }
  };
  return { start: (wish) => alone(() => send(wish)), sending, refusal, refuse: setRefusal, clear: () => setRefusal(null) };
}

/** Unlike any other. A page that did not come by https has no `randomUUID`. */
function newKey() {
  try {
    return crypto.randomUUID();
  } catch {
    return Array.from("1234", () => Math.random().toString(36).slice(2)).join("-");
  }
}

export const Refusal = ({ of }) =>
  of &&
  html`
    <${Problem}>
      <p>${of.message}</p>
      ${of.fields?.existing_run_id && html`<p><${Link} href=${toRun(of.fields.existing_run_id)}>Look at the run that is there<//></p>`}
      ${of.waitMs > 0
        ? html`<p>Try again in ${duration(of.waitMs)}.</p>`
        : of.passes && html`<p>Try again: it starts once, even if this try has reached the server.</p>`}
    <//>`;
