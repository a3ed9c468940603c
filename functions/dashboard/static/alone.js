// One call at a time. A button is disabled only after the next rendering, which is too late for a double click.

import { useRef, useState } from "./html.js";

/** `[busy, alone]`: `alone(fn)` awaits `fn()`, and ignores further calls until then. */
export function useAlone() {
  const [busy, setBusy] = useState(false);
  const running = useRef(false);
  const alone = async (fn) => {
    if (running.current) return undefined;
    running.current = true;
    setBusy(true);
    try {
      return await fn();
    } finally {
      running.current = false;
      setBusy(false);
    }
  };
  return [busy, alone];
}
