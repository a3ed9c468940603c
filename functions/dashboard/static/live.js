// Keeps the page up to date: polls while the page is visible, and faster while a run makes progress.

import { useEffect, useRef, useState } from "./html.js";

const FIRST_RETRY_MS = 2_000;
// Also the interval for refused requests: the user may get another role or join the team.
const LAST_RETRY_MS = 60_000;

// The last data of each key, so that going back shows it at once.
let remembered = new Map();

/** Replaces the memory, so that responses still on their way are not shown to the next user. */
export const forget = () => (remembered = new Map());

/**
 * Returns `{key, data, at, error, refresh, update}`: the last result of `load(signal, shown)`, its time, and the error
 * since then, if any. `shown()` returns the current data, which may have grown while a response was on its way.
 * `every(data)` is the time to the next poll in milliseconds, Infinity for never; while the page is hidden it is at
 * least `unseenMs`. A null `key` loads nothing. The returned `key` is the one that `data` belongs to: the previous key
 * until the first response for the new one arrives.
 */
export function usePoll(key, load, every, { unseenMs = Infinity } = {}) {
  const [state, setState] = useState(() => ({ key, ...remembered.get(key), error: null }));
  const given = useRef();
  given.current = { load, every };
  const refresh = useRef(() => {});

  useEffect(() => {
    if (key === null) return;
    const memory = remembered;
    let timer, request, failures = 0, nextMs = Infinity, welcomeAt = 0;

    async function round() {
      clearTimeout(timer);
      request?.abort();
      const { signal } = (request = new AbortController());
      try {
        const data = await given.current.load(signal, () => memory.get(key)?.data);
        if (signal.aborted) return;
        failures = 0;
        memory.set(key, { data, at: Date.now() });
        setState({ key, ...memory.get(key), error: null });
        plan(given.current.every(data));
      } catch (error) {
        if (signal.aborted) return;
        if (error.passes === undefined) console.error(error);
        setState({ key, ...memory.get(key), error });
        const waitMs = error.waitMs ?? 0;
        welcomeAt = Date.now() + waitMs;
        plan(Math.max(waitMs, error.passes ? Math.min(FIRST_RETRY_MS * 2 ** failures++, LAST_RETRY_MS) : LAST_RETRY_MS));
      }
    }

    function plan(ms) {
      clearTimeout(timer);
      nextMs = ms;
      const dueMs = document.hidden ? Math.max(ms, unseenMs) : ms;
      if (dueMs < Infinity) timer = setTimeout(round, dueMs);
    }

    // Not started by the user, so it respects the time that the server asked to wait.
    const again = () => (Date.now() < welcomeAt ? plan(welcomeAt - Date.now()) : round());
    const seen = () => (document.hidden ? plan(nextMs) : again());
    refresh.current = round;
    round();
    document.addEventListener("visibilitychange", seen);
    addEventListener("online", again);
    return () => {
      refresh.current = () => {};
      clearTimeout(timer);
      request?.abort();
      document.removeEventListener("visibilitychange", seen);
      removeEventListener("online", again);
    };
  }, [key]);

  const update = (change) => {
    const known = remembered.get(key);
    if (!known) return;
    known.data = change(known.data);
    setState((last) => (last.key === key ? { ...last, data: known.data } : last));
  };
  // The error of the previous key does not apply to this one.
  const shown = state.key === key ? state : { ...state, error: null, ...(remembered.has(key) && { key, ...remembered.get(key) }) };
  return { ...shown, refresh: () => refresh.current(), update };
}

/** Renders again every `everyMs` while `moves`, so that durations and countdowns are current. */
export function useTick(everyMs, moves = true) {
  const [, tick] = useState(0);
  useEffect(() => {
    if (!moves) return;
    const timer = setInterval(() => document.hidden || tick((count) => count + 1), everyMs);
    return () => clearInterval(timer);
  }, [everyMs, moves]);
}

/** Whether the browser reports a network connection. */
export function useOnline() {
  const [online, setOnline] = useState(navigator.onLine);
  useEffect(() => {
    const look = () => setOnline(navigator.onLine);
    addEventListener("online", look);
    addEventListener("offline", look);
    return () => {
      removeEventListener("online", look);
      removeEventListener("offline", look);
    };
  }, []);
  return online;
}
