// The picture of a job's last days: completed runs above the line, failed ones below it. Its table has the same numbers.

import { html } from "./html.js";
import { dayOf } from "./format.js";

const WIDTH = 11, BAR = 8;
const ABOVE = 26, BELOW = 14;
// A single run must be seen beside a day of hundreds.
const LEAST = 3;

/** The day at noon, so that it is the same day in each time zone west of +12. */
export const dayName = (day) => dayOf(Date.parse(`${day}T12:00:00Z`));

export function Strip({ days, job }) {
  const most = Math.max(1, ...job.completed, ...job.failed);
  const height = (runs, room) => (runs ? Math.max(LEAST, Math.round((runs / most) * room)) : 0);
  return html`
    <svg class="strip" viewBox="0 0 ${days.length * WIDTH} ${ABOVE + BELOW + 1}" role="img" aria-label=${said(days, job)}>
      ${days.map((day, index) => {
        const x = index * WIDTH + (WIDTH - BAR) / 2;
        const up = height(job.completed[index], ABOVE), down = height(job.failed[index], BELOW);
        return html`
          <g key=${day}>
            <title>${dayName(day)}: ${counts(job, index)}</title>
            <rect class="day" x=${index * WIDTH} y="0" width=${WIDTH} height=${ABOVE + BELOW + 1} />
            <rect class="line" x=${x} y=${ABOVE} width=${BAR} height="1" />
            ${up > 0 && html`<rect class="completed" x=${x} y=${ABOVE - up} width=${BAR} height=${up} rx="1" />`}
            ${down > 0 && html`<rect class="failed" x=${x} y=${ABOVE + 1} width=${BAR} height=${down} rx="1" />`}
          </g>`;
      })}
    </svg>`;
}

/** The numbers of the picture, the newest day first. */
export const StripTable = ({ days, job, label }) => html`
  <table class="values figures">
    <caption class="unseen">${label} by day, in UTC</caption>
    <thead><tr><th scope="col">Day (UTC)</th><th scope="col">Completed</th><th scope="col">Failed</th><th scope="col">Cancelled</th></tr></thead>
    <tbody>
      ${days.map((day, index) => html`
        <tr key=${day}>
          <th scope="row">${dayName(day)}</th><td>${job.completed[index]}</td><td>${job.failed[index]}</td><td>${job.cancelled[index]}</td>
        </tr>`).reverse()}
    </tbody>
  </table>`;

const counts = (job, index) => `${job.completed[index]} completed, ${job.failed[index]} failed, ${job.cancelled[index]} cancelled`;

function said(days, job) {
  const sum = (numbers) => numbers.reduce((total, each) => total + each, 0);
  const bad = days.filter((_, index) => job.failed[index]).map(dayName);
  return `Last ${days.length} days: ${sum(job.completed)} completed, ${sum(job.failed)} failed${bad.length ? ` (${bad.join(", ")})` : ""}`;
}
