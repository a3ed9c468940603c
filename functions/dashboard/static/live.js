// What is shown stays true: asked for again while the page is looked at, faster while something moves.

import { useEffect, useRef, useState } from "./html.js";

const FIRST_RETRY_MS = 2_000;
// As seldom as this, what is refused is asked for again too: a role may be raised, and a team joined.
const LAST_RETRY_MS = 60_000;

// What was shown last under a key, so that going back shows it at once.
let remembered = new Map();

/** A new one, so that what is still on its way is not remembered for the next person. */
export const forget = () => (remembered = new Map());

/**
 * `{key, data, at, error, refresh, update}`: what `load(signal, shown)` brought last, when, and the error since, if any.
 * `shown()` is what there is now: more may have been loaded while an answer was on its way.
 * `every(data)` is the time to the next round in milliseconds, Infinity for never; while the page is hidden it is at
 * least `unseenMs`. A null `key` asks for nothing.
 * `key` in the answer is the one that `data` belongs to: the last one's until the first answer for a new one is there.
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

    // Nobody asked for this one: it comes no sooner than the server wants it.
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
  // An error of the last key says nothing of this one.
  const shown = state.key === key ? state : { ...state, error: null, ...(remembered.has(key) && { key, ...remembered.get(key) }) };
  return { ...shown, refresh: () => refresh.current(), update };
}

/** Renders again every `everyMs` while `moves`, so that durations count and countdowns run. */
export function useTick(everyMs, moves = true) {
  const [, tick] = useState(0);
  useEffect(() => {
    if (!moves) return;
    const timer = setInterval(() => document.hidden || tick((count) => count + 1), everyMs);
    return () => clearInterval(timer);
  }, [everyMs, moves]);
}

/** Whether the browser believes it has a network. */
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
