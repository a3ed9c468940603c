// Addresses: the overview, the list of runs with its filters in the query, the views of a team, one page per run, and
// confirmations. Links of earlier releases to the list with filters, such as `?status=failed`, still lead there.

import { html, useEffect, useState } from "./html.js";
import { ROOT } from "./api.js";

let moved = false;

/** Whether the user has navigated since the page was loaded. */
export const hasMoved = () => moved;

/** `{view: "overview" | "runs" | "schedules" | "team" | "run" | "confirm", id, query}` of the address; renders again whenever it changes. */
export function useRoute() {
  const [route, setRoute] = useState(parse);
  useEffect(() => {
    const look = () => {
      moved = true;
      setRoute(parse());
    };
    addEventListener("popstate", look);
    return () => removeEventListener("popstate", look);
  }, []);
  return route;
}

/** `query` is an object; its empty values are left out of the address. */
export function address(path, query = {}) {
  const url = new URL(path, ROOT);
  for (const [name, value] of Object.entries(query)) if (value) url.searchParams.set(name, value);
  return url.pathname + url.search;
}

/** The addresses of a run and of the views of a team. All keep the team of the current address. */
export const toRun = (id) => address(`runs/${id}`, { team: teamInAddress() });
export const toTeam = (team = teamInAddress()) => address("team", { team });
export const toOverview = (team = teamInAddress()) => address("", { team });
export const toList = (team = teamInAddress(), filters = {}) => address("runs", { team, ...filters });
export const toSchedules = (team = teamInAddress()) => address("schedules", { team });

const teamInAddress = () => new URLSearchParams(location.search).get("team");

export function go(href, { replace = false } = {}) {
  try {
    if (href !== location.pathname + location.search) history[replace ? "replaceState" : "pushState"](null, "", href);
  } catch {
    // Some browsers limit how often the history may change.
    return location.assign(href);
  }
  dispatchEvent(new Event("popstate"));
}

/** A link that does not load the page again. With a modifier key, the browser handles the click. */
export function Link({ href, children, ...rest }) {
  const follow = (event) => {
    if (event.button || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    go(href);
    scrollTo(0, 0);
  };
  return html`<a href=${href} onClick=${follow} ...${rest}>${children}</a>`;
}

function parse() {
  const query = Object.fromEntries(new URLSearchParams(location.search));
  const path = location.pathname.slice(ROOT.pathname.length);
  if (["runs", "schedules", "team", "confirm"].includes(path)) return { view: path, query };
  const [, id] = /^runs\/([^/]+)$/.exec(path) ?? [];
  if (id) return { view: "run", id, query };
  return { view: Object.keys(query).some((name) => name !== "team") ? "runs" : "overview", query };
}
