// The frame of the page: the signed-in user, the team, and the view that the address names.

import { html, show, useEffect, useErrorBoundary, useState } from "./html.js";
import { whole } from "./api.js";
import { forget, usePoll } from "./live.js";
import { Choice } from "./choice.js";
import { Later } from "./later.js";
import { Overview } from "./overview.js";
import { Blank, Mark } from "./parts.js";
import { go, Link, toList, toOverview, toSchedules, toTeam, useRoute } from "./router.js";
import { Run } from "./run.js";
import { onSessionChange, session, takeTokenFromLink } from "./session.js";
import { SignOut } from "./signout.js";
import { Connection, Unreachable } from "./states.js";

const MANAGING = ["admin", "owner"];
// The views of a team: their addresses, and the modules of those that most visits do not need.
const ADDRESSES = { overview: toOverview, runs: toList, schedules: toSchedules, team: toTeam };
const LATER = { runs: () => import("./runs.js"), schedules: () => import("./schedules.js"), team: () => import("./teampage.js") };
const signing = () => import("./signin.js");
const ownSessions = () => import("./sessions.js");
// Teams and roles may change while the page is open.
const IDENTITY_MS = 60_000;

function App() {
  const [{ key, reason, offered, link }, setSession] = useState(session);
  const route = useRoute();
  useEffect(() => onSessionChange(() => setSession(session())), []);
  // After a rendering error, the page is rendered from fresh data at the next address or click.
  const [error, reset] = useErrorBoundary(console.error);
  const again = () => {
    forget();
    reset();
  };
  useEffect(() => error && again(), [route]);
  if (error) return html`<${Broken} onAgain=${again} />`;
  // Its reader may have no account here.
  if (route.view === "confirm") return html`<${Later} key="confirm" load=${() => import("./confirm.js")} />`;
  if (key === null || link !== null) return html`<${Later} key="sign-in" load=${signing} reason=${reason} link=${link} isOpen=${key !== null} />`;
  return html`<${SignedIn} key=${key} route=${route} offered=${offered} />`;
}

function SignedIn({ route, offered }) {
  const [listed, setListed] = useState(false);
  const poll = usePoll("me", async (signal) => identity(await whole("v1/auth/whoami", { signal })), () => IDENTITY_MS);
  const me = poll.data;
  const team = me?.teams.find(({ slug }) => slug === route.query.team) ?? me?.teams.find(manages) ?? me?.teams[0];
  const isList = route.view !== "run";
  return html`
    <a class="skip" href="#main" onClick=${toMain}>Skip to content</a>
    <header class="top">
      <${Link} class="brand" href=${toOverview()}><${Mark} />Nightshift<//>
      ${team && isList && html`<${Teams} teams=${me.teams} team=${team} to=${ADDRESSES[route.view]} />`}
      <span class="gap"></span>
      ${me && !me.email && html`<span class="whoami" translate=${false} title=${me.name}>${me.name}</span>`}
      ${me?.email && html`<button class="plain whoami" type="button" translate=${false} title="${me.name}: your sessions" onClick=${() => setListed(true)}>${me.name}</button>`}
      <${SignOut} class="plain">Sign out<//>
    </header>
    <main id="main" tabindex="-1">
      ${!me && poll.error && html`<${Unreachable} poll=${poll} />`}
      ${me && !team && html`<${NoTeam} />`}
      ${team && route.view === "overview" && html`<${Overview} key=${team.id} me=${me} team=${team} />`}
      ${team && LATER[route.view] && html`<${Later} key=${`${route.view} ${team.id}`} load=${LATER[route.view]} me=${me} team=${team} query=${route.query} />`}
      ${team && !isList && html`<${Run} key=${route.id} me=${me} id=${route.id} />`}
    </main>
    ${offered && html`<${Later} load=${signing} offered=${offered} me=${me} />`}
    ${listed && html`<${Later} load=${ownSessions} onClose=${() => setListed(false)} />`}
    <${Connection} />`;
}

const manages = (team) => !team.role || MANAGING.includes(team.role);

function identity(answer) {
  if (answer.type === "user") return { name: answer.email, email: answer.email, teams: answer.teams, mayWrite: true, mayLead: true };
  const { team, permissions } = answer;
  return {
    name: `Agent key of ${team.name}`,
    teams: [team],
    mayWrite: permissions.includes("jobs:write"),
    mayLead: permissions.includes("integrations:write") && permissions.includes("alerts:write"),
  };
}

function Teams({ teams, team, to }) {
  if (teams.length < 2) return html`<span class="team" translate=${false}>${team.name}</span>`;
  const choices = teams.map(({ slug, name }) => [slug, name]);
  return html`<${Choice} class="team" aria-label="Team" what="teams" choices=${choices} value=${team.slug} onChange=${(slug) => go(to(slug))} />`;
}

const NoTeam = () => html`
  <${Blank} title="You are not in a team yet">
    Runs belong to teams. Ask a team admin to add you. This page updates by itself.
  <//>`;

const Broken = ({ onAgain }) => html`
  <main>
    <${Blank} tone="warn" title="This page could not be displayed" actions=${html`<button type="button" onClick=${onAgain}>Display it again</button>`}>
      Your runs are not affected. If it happens again, reload the page.
    <//>
  </main>`;

function toMain(event) {
  event.preventDefault();
  document.getElementById("main").focus();
}

// Make the address absolute: a relative one would change its target at the next address of the page.
for (const icon of document.querySelectorAll("link[rel=icon]")) icon.href = icon.href;
takeTokenFromLink();
addEventListener("hashchange", takeTokenFromLink);
show(html`<${App} />`, document.getElementById("app"));
