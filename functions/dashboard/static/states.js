// What stands in the place of a view, or over it, when it cannot be had.

import { html } from "./html.js";
import { clock, sentence } from "./format.js";
import { useOnline } from "./live.js";
import { Blank } from "./parts.js";
import { Link, toList } from "./router.js";
import { signOut } from "./session.js";

/** Whether what is shown of a poll must give way: there is nothing, or it is no longer for these eyes. */
export const isGone = ({ error, data }) => error && (!data || error.status === 403 || error.status === 404);

/** Why there is nothing of this poll to show; nothing while it is still asked for. */
export function Instead({ poll, what }) {
  const { status } = poll.error;
  if (status === 403) return html`<${Forbidden} why=${poll.error.message} />`;
  // What is no id at all is no more there than what is nobody's.
  if (status === 404 || status === 400) return html`<${Missing} what=${what} />`;
  return html`<${Unreachable} poll=${poll} />`;
}

const Forbidden = ({ why }) => html`
  <${Blank} tone="warn" title="This is for the team's admins"
    actions=${html`<button type="button" onClick=${() => signOut()}>Sign in as somebody else</button>`}>
    ${sentence(why)} An owner of the team can raise your role, or give an agent key the permission that is missing.
  <//>`;

const Missing = ({ what }) => html`
  <${Blank} title="No such ${what}" actions=${html`<${Link} class="button" href=${toList()}>All runs<//>`}>
    It is not there any more, or it belongs to a team that you are not in.
  <//>`;

export const Unreachable = ({ poll }) => html`
  <${Blank} tone="warn" title=${poll.error.status === 0 ? "The server does not answer" : "That did not work"}
    actions=${html`<button type="button" onClick=${poll.refresh}>Try again</button>`}>
    ${sentence(poll.error.message)} ${poll.error.passes && "It is asked again by itself."}
  <//>`;

/** Below everything, so that nothing jumps: what is shown is not what is. */
export const Stale = ({ poll }) =>
  poll.error &&
  poll.data &&
  html`
    <div class="toast" role="status">
      <p>${sentence(poll.error.message)} ${poll.at && html`This is how it was at <span class="figures" translate=${false}>${clock(poll.at)}</span>.`}</p>
      <button class="plain" type="button" onClick=${poll.refresh}>Try now</button>
    </div>`;

export const Connection = () =>
  !useOnline() && html`<div class="offline" role="status">You are offline. This page goes on by itself when you are back.</div>`;
