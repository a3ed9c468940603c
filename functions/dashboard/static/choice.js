// A choice from a list. A long list gets a search field.

import { html, useState } from "./html.js";
import { number } from "./format.js";
import { Announce } from "./parts.js";

const FEW = 30;
const MOST_SHOWN = 100;

const folded = (text) => text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();

/**
 * `choices` are `[value, name]`; the search looks at both. `first` is the name of the empty value. The chosen entry is
 * always shown. `onChange(value)` is called for each choice, and `what` names the entries, such as `projects`.
 */
export function Choice({ choices, value, first, what, onChange, ...rest }) {
  const [sought, seek] = useState("");
  const words = folded(sought).split(/\s+/);
  const found = choices.filter((choice) => words.every((word) => folded(choice.join(" ")).includes(word)));
  const shown = found.slice(0, MOST_SHOWN);
  const chosen = choices.find(([each]) => each === value);
  if (chosen && !shown.includes(chosen)) shown.unshift(chosen);
  // Enter takes the first match. It must not submit the surrounding form.
  const take = (event) => {
    if (event.key !== "Enter") return;
    event.preventDefault();
    if (sought && found.length) onChange(found[0][0]);
  };
  return html`
    ${choices.length > FEW &&
    html`
      <input type="search" class="seek" autocomplete="off" placeholder="Search ${what}" aria-label="Search ${what}" value=${sought}
        onInput=${(event) => seek(event.target.value)} onKeyDown=${take} />
      <${Announce} text=${sought && `${number(found.length)} of ${number(choices.length)} ${what} found`} />`}
    <select autocomplete="off" value=${chosen ? value : ""} onChange=${(event) => onChange(event.target.value)} ...${rest}>
      ${first && html`<option key="" value="">${first}</option>`}
      ${shown.map(([each, name]) => html`<option key=${each} value=${each} translate=${false}>${name}</option>`)}
      ${found.length > MOST_SHOWN && html`<option key="more" disabled>${number(found.length - MOST_SHOWN)} more: search to find them</option>`}
    </select>`;
}
