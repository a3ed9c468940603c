// A choice from a list. A long list gets a search field.

import { html, useEffect, useState } from "./html.js";
import { number } from "./format.js";
import { Announce } from "./parts.js";

const FEW = 30;
const MOST_SHOWN = 100;
// A search on the server waits until the user pauses.
const TYPING_MS = 250;

const folded = (text) => text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();

/**
 * `choices` are `[value, name]`; the search looks at both. `first` is the name of the empty value. The chosen entry is
 * always shown. `onChange(value, choice)` is called for each choice, and `what` names the entries, such as `projects`.
 * If `choices` are only the first of many, `find(text, signal)` returns `{choices, more}` from the server.
 */
export function Choice({ choices, value, first, what, onChange, find, ...rest }) {
  const [sought, seek] = useState("");
  const answer = useFound(find, sought);
  const words = folded(sought).split(/\s+/);
  const near = choices.filter((choice) => words.every((word) => folded(choice.join(" ")).includes(word)));
  const found = [...near, ...(answer?.choices ?? []).filter(([each]) => !near.some(([other]) => other === each))];
  const isOpen = Boolean(find) && (sought ? answer?.more !== false : true);
  const shown = found.slice(0, MOST_SHOWN);
  const chosen = choices.find(([each]) => each === value);
  if (chosen && !shown.includes(chosen)) shown.unshift(chosen);
  // Enter takes the first match. It must not submit the surrounding form.
  const take = (event) => {
    if (event.key !== "Enter") return;
    event.preventDefault();
    if (sought && found.length) onChange(...entry(found[0][0]));
  };
  const entry = (each) => [each, [...choices, ...found].find(([other]) => other === each)];
  return html`
    ${(find || choices.length > FEW) &&
    html`
      <input type="search" class="seek" autocomplete="off" placeholder="Search ${what}" aria-label="Search ${what}" value=${sought}
        onInput=${(event) => seek(event.target.value)} onKeyDown=${take} />
      <${Announce} text=${sought && (answer || !find) && said(found.length, { of: choices.length, what, find, isOpen })} />`}
    <select autocomplete="off" value=${chosen ? value : ""} onChange=${(event) => onChange(...entry(event.target.value))} ...${rest}>
      ${first && html`<option key="" value="">${first}</option>`}
      ${shown.map(([each, name]) => html`<option key=${each} value=${each} translate=${false}>${name}</option>`)}
      ${isOpen
        ? html`<option key="more" disabled>More: search to find them</option>`
        : found.length > MOST_SHOWN && html`<option key="more" disabled>${number(found.length - MOST_SHOWN)} more: search to find them</option>`}
    </select>`;
}

const said = (count, { of, what, find, isOpen }) =>
  find ? `Found ${what}: ${isOpen ? "more than " : ""}${number(count)}` : `${number(count)} of ${number(of)} ${what} found`;

/** The server's answer for this text: null before it arrives, and if there is nothing to find. */
function useFound(find, sought) {
  const [answer, setAnswer] = useState(null);
  useEffect(() => {
    setAnswer(null);
    if (!find || !sought.trim()) return;
    const request = new AbortController();
    const ask = async () => {
      try {
        setAnswer(await find(sought.trim(), request.signal));
      } catch (error) {
        if (error.passes === undefined) throw error;
        // The entries that are known already can still be searched.
      }
    };
    const timer = setTimeout(ask, TYPING_MS);
    return () => {
      clearTimeout(timer);
      request.abort();
    };
  }, [sought]);
  return answer;
}
