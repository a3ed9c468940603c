// The page of a team: its providers' keys, its paused jobs, its alerts, its agent keys, and who changed what.

import { html, useEffect, useRef, useState } from "./html.js";
import { AgentKeys } from "./agentkeys.js";
import { Alerts } from "./alerts.js";
import { Changes } from "./changes.js";
import { Integrations } from "./integrations.js";
import { Pauses } from "./pauses.js";
import { hasMoved } from "./router.js";
import { Instead, isGone } from "./states.js";
import { useTeam } from "./team.js";
import { Views } from "./views.js";

export function View({ me, team }) {
  const known = useTeam(team.id);
  const title = useRef();
  const [changed, setChanged] = useState(0);
  useEffect(() => {
    if (hasMoved() && document.activeElement === document.body) title.current?.focus({ preventScroll: true });
  }, []);
  useEffect(() => void (document.title = `Team · ${team.name} · Nightshift`), [team.name]);
  if (isGone(known)) return html`<${Instead} poll=${known} what="team" />`;
  const onChange = () => setChanged((count) => count + 1);
  return html`
    <${Views} current="team" />
    <div class="heading"><h1 ref=${title} tabindex="-1" translate=${false}>${team.name}</h1></div>
    ${known.data && html`<${Integrations} team=${team} known=${known.data} me=${me} onChange=${onChange} />`}
    ${known.data && html`<${Pauses} team=${team} known=${known.data} me=${me} onChange=${onChange} />`}
    ${known.data && html`<${Alerts} team=${team} known=${known.data} me=${me} onChange=${onChange} />`}
    ${known.data && html`<${AgentKeys} team=${team} known=${known.data} me=${me} onChange=${onChange} />`}
    ${known.data && html`<${Changes} team=${team} known=${known.data} me=${me} changed=${changed} />`}`;
}
