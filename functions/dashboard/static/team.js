// A team's projects, job types and people: every view needs them to show names for ids.

import { html } from "./html.js";
import { api, whole } from "./api.js";
import { label } from "./format.js";
import { usePoll } from "./live.js";
import { Ago } from "./parts.js";
import { nameOf } from "./people.js";

const EVERY_MS = 30_000;
const NOBODY = { members: [], api_keys: [] };

/** A poll of `{projects, types, people}`; loads nothing while `teamId` is null. */
export const useTeam = (teamId) =>
  usePoll(teamId && `team:${teamId}`, (signal) => load(teamId, signal), () => EVERY_MS);

async function load(teamId, signal) {
  const [{ projects }, { job_types: types }, people] = await Promise.all([
    whole("v1/projects", { query: { team_id: teamId }, signal }),
    api("GET", "v1/job-types", { signal }),
    // Missing names must not keep the page from showing runs.
    whole(`v1/teams/${teamId}/members`, { signal }).catch((error) => {
      if (error.passes) throw error;
      return NOBODY;
    }),
  ]);
  return { projects, types, people };
}

export const typeOf = (name, team) => team?.types.find((type) => type.job_type === name) ?? { job_type: name, label: label(name) };

export const projectOf = (id, team) => team?.projects.find((project) => project.id === id);

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
