// Starting a run, from the dialog or from an ended one: once, whatever is clicked twice or lost on the way.

import { html, useEffect, useRef, useState } from "./vendor/htm-preact.js";
import { api } from "./api.js";
import { Problem } from "./parts.js";
import { go, Link, toRun } from "./router.js";

/** `start(wish)` leads to the run and is true, or false with a `refusal`. */
export function useStart(path) {
  const [sending, setSending] = useState(false);
  const [refusal, setRefusal] = useState(null);
  const sent = useRef({});
  const mounted = useRef(true);
  useEffect(() => () => (mounted.current = false), []);

  const start = async (wish) => {
    const text = JSON.stringify(wish);
    // The same wish has the same key: where only the answer was lost, the next try finds the run that was made.
    if (sent.current.text !== text) sent.current = { text, key: crypto.randomUUID() };
    setSending(true);
    setRefusal(null);
    try {
      const { job_run: run } = await api("POST", path, { body: wish, key: sent.current.key });
      // Who has gone back meanwhile is not taken away from there.
      if (mounted.current) go(toRun(run.id));
      return true;
    } catch (error) {
      setRefusal(error);
      setSending(false);
      return false;
    }
  };
  return { start, sending, refusal, clear: () => setRefusal(null) };
}

export const Refusal = ({ of }) =>
  of &&
  html`
    <${Problem}>
      <p>${of.message}</p>
      ${of.fields?.existing_run_id && html`<p><${Link} href=${toRun(of.fields.existing_run_id)}>Look at the run that is there<//></p>`}
      ${of.passes && html`<p>Try again: it starts once, even if this try has reached the server.</p>`}
    <//>`;
