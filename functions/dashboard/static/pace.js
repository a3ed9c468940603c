// How fast a run progresses, from observations of it. No figure is better than a guess.

// Older observations do not show the current speed.
const WINDOW_MS = 60_000;
// Observations over a shorter time are too random.
const LEAST_MS = 4_000;

/** Steps per second, or null. `seen` is `[{at, processed}]`, oldest first, one per change; it is trimmed in place. */
export function paceOf(seen, now) {
  while (seen.length > 2 && seen[0].at < now - WINDOW_MS) seen.shift();
  const [first] = seen;
  const last = seen.at(-1);
  const passedMs = now - (first?.at ?? now);
  const done = last ? last.processed - first.processed : 0;
  return done > 0 && passedMs >= LEAST_MS ? (done / passedMs) * 1_000 : null;
}
