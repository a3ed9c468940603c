// A card of the team's page whose content belongs to one project, with the choice of the project if there are several.

import { html, useState } from "./html.js";
import { Choice } from "./choice.js";
import { projectChoices, projectFinder } from "./team.js";

/** `children(projectId)` renders the content. */
export function OfProject({ id, title, team, known, children }) {
  const { projects, hasMore } = known;
  const [project, setProject] = useState(projectChoices(projects)[0]);
  const choices = projectChoices(projects);
  const offered = !project || choices.some(([each]) => each === project[0]) ? choices : [...choices, project];
  return html`
    <section class="card" aria-labelledby=${id}>
      <h2 id=${id}>${title}</h2>
      ${!project && html`<p class="quiet">This team has no project yet.</p>`}
      ${(offered.length > 1 || hasMore) &&
      html`
        <div class="field">
          <label for="${id}-project">Project</label>
          <${Choice} id="${id}-project" what="projects" value=${project?.[0]} choices=${offered} find=${hasMore ? projectFinder(team.id) : null}
            onChange=${(each, choice) => setProject(choice ?? offered.find(([other]) => other === each))} />
        </div>`}
      ${project && children(project[0])}
    </section>`;
}
