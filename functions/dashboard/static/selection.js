// The selection of runs in the list: some of its rows, or all that match the filters, to be cancelled or run again.

import { html, useEffect, useState } from "./html.js";
import { api } from "./api.js";
import { number } from "./format.js";
import { Later } from "./later.js";
import { usePoll } from "./live.js";
import { Ago, isLive } from "./parts.js";

const BULK = () => import("./bulk.js");
// The API's limit for ids in one request.
const MOST = 1_000;
const EVERY_MS = 15_000;
const RECENT = 3;

/** `{isOpen, toggle, ids, has(id), set(ids, chosen)}`: a selection of the list with this key. Another list begins anew. */
export function useSelection(key) {
  const [ids, setIds] = useState(null);
  useEffect(() => setIds((before) => before && new Set()), [key]);
  const set = (changed, chosen) => setIds((before) => {
    const next = new Set(before);
    for (const id of changed) chosen ? next.size < MOST && next.add(id) : next.delete(id);
    return next;
  });
  return { isOpen: ids !== null, ids: ids ?? new Set(), toggle: () => setIds(ids ? null : new Set()), has: (id) => ids.has(id), set };
}

/** The actions on the selection. `filters` are those of the list, and `rows` the runs that it shows. */
export function Selection({ team, selection, filters, rows, onChange }) {
  const [dialog, setDialog] = useState(null);
  const [all, setAll] = useState(false);
  const mayTakeAll = Object.keys(filters).length > 0 && !filters.id_prefix;
  const takesAll = all && mayTakeAll;
  const chosen = rows.filter((run) => selection.has(run.id));
  const wanted = takesAll ? { match: filters } : { run_ids: [...selection.ids] };
  const count = selection.ids.size;
  const path = `v1/teams/${team.id}/bulk-actions`;
  const past = usePoll(path, (signal) => api("GET", path, { signal }), () => EVERY_MS);
  const close = () => {
    setDialog(null);
    past.refresh();
    onChange();
  };
  const may = (isWanted) => takesAll || (count > 0 && (chosen.length < count || chosen.some(isWanted)));
  const open = (action) => setDialog({ action, wanted });
  return html`
    <div class="selection" role="group" aria-label="Selected runs">
      <p role="status">${takesAll ? "All runs that match" : `${number(count)} selected`}</p>
      <button class="plain" type="button" disabled=${takesAll} onClick=${() => selection.set(rows.map((run) => run.id), true)}>Select those shown</button>
      ${mayTakeAll && html`<label><input type="checkbox" checked=${all} onChange=${(event) => setAll(event.target.checked)} /> All that match the filters</label>`}
      <span class="gap"></span>
      <button type="button" disabled=${!may(isLive)} onClick=${() => open("cancel")}>Cancel …</button>
      <button type="button" disabled=${!may((run) => !isLive(run))} onClick=${() => open("rerun")}>Run again …</button>
      ${past.data?.bulk_actions.length > 0 &&
      html`
        <ul aria-label="Recent actions">
          ${past.data.bulk_actions.slice(0, RECENT).map((each) => html`
            <li key=${each.id}>
              <button class="plain" type="button" onClick=${() => setDialog({ shown: each })}>
                ${each.action === "cancel" ? "Cancel" : "Run again"}: ${number(each.figures.runs - each.figures.to_do)} of ${number(each.figures.runs)} done
              </button>
              <span class="quiet"><${Ago} at=${each.confirmed_at} /></span>
            </li>`)}
        </ul>`}
    </div>
    ${dialog && html`<${Later} load=${BULK} team=${team} ...${dialog} onClose=${close} />`}`;
}
