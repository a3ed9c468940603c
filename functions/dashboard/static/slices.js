// The timeline of a run, newest first: its slices, the waits between them, and who asked it to stop.

import { html, useRef, useState } from "./html.js";
import { now } from "./api.js";
import { capital, clock, day, duration, moment, number, zone } from "./format.js";
import { isLive, Took } from "./parts.js";

const FIRST_SHOWN = 12;

const OUTCOMES = {
  __proto__: null,
  continued: "handed over to the next slice",
  waiting: "ended to wait",
  retrying: "failed and is retried",
  lost: "lost its worker",
  completed: "finished the run",
  failed: "failed",
  cancelled: "stopped",
};

export function Timeline({ run, timeline, by }) {
  const [all, setAll] = useState(false);
  const list = useRef();
  // The click removes the button. Move the focus, so that keyboard users do not return to the top of the page.
  const showAll = () => {
    setAll(true);
    list.current.focus({ preventScroll: true });
  };
  const events = withDays(eventsOf(run, timeline, by), run);
  const shown = all ? events : events.slice(0, FIRST_SHOWN);
  return html`
    <section class="card">
      <h2>Timeline</h2>
      ${zone && html`<p class="hint">Times are in ${zone}.</p>`}
      <ol class="timeline" ref=${list} tabindex="-1">${shown.map((event) => html`<${Event} key=${event.key} ...${event} />`)}</ol>
      ${shown.length < events.length &&
      html`<button class="plain" type="button" onClick=${showAll}>Show ${number(events.length - shown.length)} more</button>`}
      ${timeline.slices_left_out > 0 && shown.length === events.length &&
      html`<p class="hint">${number(timeline.slices_left_out)} older slices are left out.</p>`}
    </section>`;
}

function Event({ at, day, tone, title, detail, facts = [] }) {
  return html`
    <li class=${tone}>
      <time class="figures quiet" translate=${false} datetime=${at} title=${moment(Date.parse(at))}>
        ${day && html`<span class="day">${day}</span>${" "}`}${clock(Date.parse(at))}
      </time>
      <div>
        <p>${title}${facts.filter(Boolean).map((fact) => html`<span class="fact figures" translate=${false}>${fact}</span>`)}</p>
        ${detail && html`<p class="quiet detail">${detail}</p>`}
      </div>
    </li>`;
}

function eventsOf(run, { timeline, cancel_requested_at: asked, cancel_requested_by: askedBy }, by) {
  const events = [
    { key: "made", at: run.created_at, tone: "note", title: html`<strong>Triggered</strong> by <bdi>${by(run.triggered_by)}</bdi>` },
    ...timeline.map((slice) => sliceEvent(slice, run)),
  ];
  if (asked) {
    const tookMs = !isLive(run) && Date.parse(run.completed_at) - Date.parse(asked);
    events.push({
      key: "cancel",
      at: asked,
      tone: "note",
      title: html`<strong>Asked to stop</strong> by <bdi>${by(askedBy)}</bdi>`,
      detail: tookMs === false
        ? html`Not stopped yet, after <${Took} from=${asked} />`
        : `${run.status === "cancelled" ? "Stopped" : "Ended"} ${tookMs < 1_000 ? `${tookMs} ms` : duration(tookMs)} later`,
    });
  }
  if (!isLive(run)) events.push({ key: "over", at: run.completed_at, tone: run.status, title: html`<strong>${capital(run.status)}</strong>` });
  // Sorting is stable: among events of the same millisecond, the ending stays the newest.
  return events.sort((one, other) => (one.at < other.at ? -1 : one.at > other.at ? 1 : 0)).reverse();
}

/** If the run spans several days, adds `day` to the first event of each day, in the order shown. */
function withDays(events, run) {
  const days = events.map(({ at }) => day(Date.parse(at)));
  const all = new Set(isLive(run) ? [day(now()), ...days] : days);
  return all.size > 1 ? events.map((event, index) => ({ ...event, day: days[index] !== days[index - 1] && days[index] })) : events;
}

function sliceEvent({ slice, started_at, ended_at, outcome, reason, wait_s, processed }, { error }) {
  return {
    key: `slice-${slice}`,
    at: started_at,
    tone: outcome ?? "running",
    title: html`<strong>Slice ${slice}</strong> ${OUTCOMES[outcome] ?? outcome ?? "at work"}`,
    // The page shows the run's error once, above the timeline.
    detail: outcome === "waiting" && reason ? `for ${reason}` : outcome === "failed" && reason === error ? null : reason,
    facts: [
      html`<${Took} from=${started_at} to=${ended_at} />`,
      processed !== null && `${number(processed)} done`,
      wait_s ? `waits ${duration(wait_s * 1_000)}` : null,
    ],
  };
}
