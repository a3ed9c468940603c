// A view whose modules are loaded when it is first shown, because most visits never need it.

import { html, useEffect, useState } from "./html.js";
import { Blank } from "./parts.js";

/** `load` imports a module that exports `View`; the other properties are the view's. */
export function Later({ load, ...rest }) {
  const [{ View, failed }, set] = useState({});
  useEffect(() => {
    load().then((module) => set({ View: module.View }), () => set({ failed: true }));
  }, []);
  if (View) return html`<${View} ...${rest} />`;
  // The browser remembers that a module has failed until the page is loaded again.
  return (
    failed &&
    html`
      <${Blank} tone="warn" title="The page could not be loaded" actions=${html`<button type="button" onClick=${() => location.reload()}>Load it again</button>`}>
        A part of the dashboard did not arrive.
      <//>`
  );
}
