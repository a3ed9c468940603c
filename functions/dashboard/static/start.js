// Starts a run, from the dialog or from an ended run: only once, despite double clicks and lost responses.

import { html, useEffect, useRef, useState } from "./html.js";
import { useAlone } from "./alone.js";
import { api } from "./api.js";
import { write } from "./exact.js";
import { duration } from "./format.js";
import { Problem } from "./parts.js";
import { go, Link, toRun, toSchedules } from "./router.js";

/** `start(wish)` opens the new run or the schedules and returns true, or sets `refusal` and returns false. `refuse(error)` sets it. */
export function useStart(path) {
  const [sending, alone] = useAlone();
  const [refusal, setRefusal] = useState(null);
  const sent = useRef({});
  const mounted = useRef(true);
  useEffect(() => () => (mounted.current = false), []);

  const send = async (wish) => {
    const text = write(wish);
    // The same wish has the same key: if only the response was lost, the next try returns the run that was started.
    if (sent.current.text !== text) sent.current = { text, key: newKey() };
    setRefusal(null);
    try {
      const { job_run: run } = await api("POST", path, { body: wish, key: sent.current.key });
      // Do not navigate if the user has left the dialog's page in the meantime. A later start is a schedule.
      if (mounted.current) go(run ? toRun(run.id) : toSchedules());
      return true;
    } catch (error) {
      setRefusal(error);
      return false;
    }
  };
  return { start: (wish) => alone(() => send(wish)), sending, refusal, refuse: setRefusal, clear: () => setRefusal(null) };
}

/** A unique key. A page not loaded over https has no `randomUUID`. */
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
      ${of.fields?.existing_run_id && html`<p><${Link} href=${toRun(of.fields.existing_run_id)}>Open the existing run<//></p>`}
      ${of.waitMs > 0
        ? html`<p>Try again in ${duration(of.waitMs)}.</p>`
        : of.passes && html`<p>Try again. The run starts only once, even if this request has reached the server.</p>`}
    <//>`;
