// How fast a run goes, from what was seen of it. Nothing is better than a guess.

// Older sightings say how fast it was.
const WINDOW_MS = 60_000;
// What was seen over less time than this is chance.
const LEAST_MS = 4_000;

/** Steps a second, or null. `seen` is `[{at, processed}]`, oldest first, one for each change; trimmed in place. */
export function paceOf(seen, now) {
  while (seen.length > 2 && seen[0].at < now - WINDOW_MS) seen.shift();
  const [first] = seen;
  const last = seen.at(-1);
  const passedMs = now - (first?.at ?? now);
  const done = last ? last.processed - first.processed : 0;
  return done > 0 && passedMs >= LEAST_MS ? (done / passedMs) * 1_000 : null;
}
