// Names for `triggered_by` and similar fields. Values: `manual:user:<id>`, `manual:api_key:<id>`, `schedule`,
// `system`, `soft_delete_cleanup`, `sweep`.

const OTHERS = {
  __proto__: null,
  schedule: "Schedule",
  system: "The operator",
  soft_delete_cleanup: "Soft-Delete Cleanup, because the project or team was deleted",
  sweep: "The sweep, because the project or team was deleted",
};

/** `people` is the response of GET /v1/teams/{id}/members, or empty lists if it cannot be loaded. */
export function nameOf(by, { people, me }) {
  const [, kind, id] = (by ?? "").split(":");
  if (kind === "user") {
    const { email } = people.members.find((member) => member.id === id) ?? {};
    return email && email === me.email ? "You" : (email ?? "A user");
  }
  if (kind === "api_key") {
    const { name } = people.api_keys.find((each) => each.id === id) ?? {};
    return !name ? "An API key" : /key/i.test(name) ? name : `${name} (API key)`;
  }
  return OTHERS[by] ?? (by || "Unknown");
}
