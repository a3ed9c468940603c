// Messages shown instead of a view, or over it, when its data cannot be loaded.

import { html } from "./html.js";
import { clock, sentence } from "./format.js";
import { useOnline } from "./live.js";
import { Blank } from "./parts.js";
import { Link, toList } from "./router.js";
import { SignOut } from "./signout.js";

/** Whether a poll's data must not be shown: none was loaded, or the user may no longer see it. */
export const isGone = ({ error, data }) => error && (!data || error.status === 403 || error.status === 404);

/** Why a poll has no data to show. */
export function Instead({ poll, what }) {
  const { status } = poll.error;
  if (status === 403) return html`<${Forbidden} why=${poll.error.message} />`;
  // A malformed id gets the same message as an unknown one.
  if (status === 404 || status === 400) return html`<${Missing} what=${what} />`;
  return html`<${Unreachable} poll=${poll} />`;
}

const Forbidden = ({ why }) => html`
  <${Blank} tone="warn" title="This is for the team's admins"
    actions=${html`<${SignOut}>Sign in as another user<//>`}>
    ${sentence(why)} A team owner can change your role, or give an agent key the missing permission.
  <//>`;

const Missing = ({ what }) => html`
  <${Blank} title="No such ${what}" actions=${html`<${Link} class="button" href=${toList()}>All runs<//>`}>
    It no longer exists, or it belongs to a team that you are not in.
  <//>`;

export const Unreachable = ({ poll }) => html`
  <${Blank} tone="warn" title=${poll.error.status === 0 ? "The server does not answer" : "The page could not be loaded"}
    actions=${html`<button type="button" onClick=${poll.refresh}>Try again</button>`}>
    ${sentence(poll.error.message)} ${poll.error.passes && "This page tries again by itself."}
  <//>`;

/** A notice that the data is out of date, below everything else, so that nothing moves. */
export const Stale = ({ poll }) =>
  poll.error &&
  poll.data &&
  html`
    <div class="toast" role="status">
      <p>${sentence(poll.error.message)} ${poll.at && html`Last updated at <span class="figures" translate=${false}>${clock(poll.at)}</span>.`}</p>
      <button class="plain" type="button" onClick=${poll.refresh}>Try now</button>
    </div>`;

export const Connection = () =>
  !useOnline() && html`<div class="offline" role="status">You are offline. This page updates by itself when you are online again.</div>`;
