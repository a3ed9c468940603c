// The button that signs out. A session of the browser ends on the server, because no script can delete its cookie.

import { html, useState } from "./html.js";
import { useAlone } from "./alone.js";
import { leave } from "./api.js";

export function SignOut({ children, ...rest }) {
  const [leaving, alone] = useAlone();
  const [problem, setProblem] = useState(null);
  const go = () => alone(() => leave().catch((error) => setProblem(error.message)));
  return html`
    <button type="button" disabled=${leaving} onClick=${go} ...${rest}>${children}</button>
    ${problem && html`<div class="toast" role="alert"><p>You are still signed in. ${problem}</p></div>`}`;
}
