// A team's first projects, job types and people: every view needs them to show names for ids.

import { html } from "./html.js";
import { api, whole } from "./api.js";
import { label } from "./format.js";
import { usePoll } from "./live.js";
import { Ago } from "./parts.js";
import { nameOf } from "./people.js";

const EVERY_MS = 30_000;
// More projects than this are searched for on the server.
const FIRST = 200;
// The API's own limits: for ids in one request, and for a search.
const MOST_IDS = 100;
const MOST_SOUGHT = 100;
const NOBODY = { members: [], api_keys: [] };

/** A poll of `{projects, hasMore, types, people}`; loads nothing while `teamId` is null. */
export const useTeam = (teamId) =>
  usePoll(teamId && `team:${teamId}`, (signal) => load(teamId, signal), () => EVERY_MS);

async function load(teamId, signal) {
  const [{ projects, has_more: hasMore }, { job_types: types }, people] = await Promise.all([
    api("GET", "v1/projects", { query: { team_id: teamId, limit: FIRST }, signal }),
    api("GET", "v1/job-types", { signal }),
    // Missing names must not keep the page from showing runs.
    whole(`v1/teams/${teamId}/members`, { signal }).catch((error) => {
      if (error.passes) throw error;
      return NOBODY;
    }),
  ]);
  return { projects: projects.slice(0, FIRST), hasMore: Boolean(hasMore), types, people };
}

export const typeOf = (name, team) => team?.types.find((type) => type.job_type === name) ?? { job_type: name, label: label(name) };

/**
 * Returns a function from a project's id to the project: undefined if the team has no such project, null until that is
 * known. Projects of `ids` that are not among the team's first ones are loaded.
 */
export function useProjects(teamId, ids, team) {
  const first = new Map((team?.projects ?? []).map((project) => [project.id, project]));
  const others = team?.hasMore ? [...new Set(ids)].filter((id) => id && !first.has(id)).sort() : [];
  const key = others.length > 0 ? `projects:${teamId}:${others}` : null;
  const poll = usePoll(key, (signal) => projectsById(teamId, others, signal), () => EVERY_MS);
  return (id) =>
    first.get(id) ?? poll.data?.find((project) => project.id === id) ?? (others.includes(id) && poll.key !== key ? null : undefined);
}

/** `find` of a `Choice` of the team's projects. */
export const projectFinder = (teamId) => async (text, signal) => {
  const query = { team_id: teamId, q: text.slice(0, MOST_SOUGHT), limit: MOST_SOUGHT };
  const { projects, has_more: more } = await api("GET", "v1/projects", { query, signal });
  return { choices: projectChoices(projects), more: Boolean(more) };
};

async function projectsById(teamId, ids, signal) {
  const found = [];
  for (let start = 0; start < ids.length; start += MOST_IDS) {
    const query = { team_id: teamId, ids: ids.slice(start, start + MOST_IDS).join(",") };
    found.push(...(await api("GET", "v1/projects", { query, signal })).projects);
  }
  return found;
}

/** `[id, name]` of each project, with the slug if several have the same name. */
export function projectChoices(projects) {
  const names = new Map();
  for (const { name } of projects) names.set(name, (names.get(name) ?? 0) + 1);
  return projects.map(({ id, name, slug }) => [id, names.get(name) > 1 ? `${name} (${slug})` : name]);
}

/** Who paused a type, since when and why. */
export const Paused = ({ type, team, me }) => html`
  <div class="notice warn">
    <p>
      <strong>${type.label} is paused</strong>${" "}
      by <bdi>${nameOf(type.paused.by, { people: team.people, me })}</bdi>, <${Ago} at=${type.paused.since} />:${" "}
      <q><bdi>${type.paused.why}</bdi></q>.
      It cannot be started until it is resumed.
    </p>
  </div>`;
