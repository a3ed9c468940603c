// Links between the views of a team.

import { html } from "./html.js";
import { Link, toList, toOverview, toSchedules, toTeam } from "./router.js";

const VIEWS = [["overview", "Overview", toOverview], ["runs", "Runs", toList], ["schedules", "Schedules", toSchedules], ["team", "Team", toTeam]];

export const Views = ({ current }) => html`
  <nav class="views" aria-label="Views">
    ${VIEWS.map(([view, name, to]) => html`<${Link} href=${to()} aria-current=${view === current ? "page" : null}>${name}<//>`)}
  </nav>`;
