// What the run logged, oldest first: the newest lines, and those that follow while it goes on.

import { html, useEffect, useRef, useState } from "./html.js";
import { api } from "./api.js";
import { clock, dayOf, moment, number, sentence } from "./format.js";
import { usePoll } from "./live.js";
import { Problem } from "./parts.js";

// A run keeps as many lines.
const MOST = 1_000;
const FIRST_SHOWN = 200;
const LEVELS = ["debug", "info", "warning", "error"];
const CHOICES = [["debug", "All lines"], ["info", "Without debug"], ["warning", "Warnings and errors"], ["error", "Errors"]];

/** `timeline` says how many lines there are, so the lines are asked for only when there are new ones. */
export function Log({ run, timeline }) {
  const { logged_lines: logged = 0 } = timeline;
  const poll = usePoll(logged ? `log:${run.id}` : null, (signal, shown) => following(run.id, shown(), signal), () => Infinity);
  useEffect(() => {
    if (poll.data && poll.data.logged < logged) poll.refresh();
  }, [logged, poll.data?.logged]);
  const [level, setLevel] = useState("debug");
  const [problem, setProblem] = useState(null);
  const lost = timeline.timeline.filter(({ outcome }) => outcome === "lost").map(({ slice }) => slice);
  const lines = (poll.data?.lines ?? []).filter((line) => LEVELS.indexOf(line.level) >= LEVELS.indexOf(level));
  const list = useBottom(lines.at(-1)?.line);
  if (!logged && lost.length === 0) return null;

  async function showEarlier() {
    try {
      const page = await api("GET", `v1/jobs/${run.id}/logs`, { query: { limit: MOST } });
      setProblem(null);
      poll.update(() => pageOf(page));
      list.current.focus({ preventScroll: true });
    } catch (error) {
      setProblem(error.message);
    }
  }

  const { left_out: gone = 0, earlier = 0 } = poll.data ?? {};
  return html`
    <section class="card">
      <h2 class="with-choice">Log
        ${logged > 0 && html`
          <select aria-label="Lines shown" value=${level} onChange=${(event) => setLevel(event.target.value)}>
            ${CHOICES.map(([value, text]) => html`<option value=${value}>${text}</option>`)}
          </select>`}
      </h2>
      ${earlier > 0 && html`<button class="plain" type="button" onClick=${showEarlier}>Show ${number(earlier)} earlier lines</button>`}
      ${earlier === 0 && gone > 0 && html`<p class="hint">${number(gone)} earlier lines are no longer here: a run keeps its last ${number(MOST)}.</p>`}
      ${problem && html`<${Problem}>${sentence(problem)}<//>`}
      ${logged > 0 && !poll.data && html`<p class="quiet" role="status">${poll.error ? sentence(poll.error.message) : "Loading …"}</p>`}
      ${poll.data && (lines.length > 0
        ? html`<ol class="log" ref=${list} tabindex="0" aria-label="Log lines, oldest first">${lines.map((line) => html`<${Line} key=${line.line} ...${line} run=${run} />`)}</ol>`
        : html`<p class="quiet">None of its lines is of this level.</p>`)}
      ${lost.length > 0 && html`
        <p class="hint">${lost.length === 1 ? `The worker of slice ${lost[0]} was lost` : `The workers of slices ${lost.join(", ")} were lost`}.
          The last lines before that are in CloudWatch alone.</p>`}
    </section>`;
}

/** Keeps the newest line in view, unless the reader has scrolled up. */
function useBottom(last) {
  const list = useRef();
  const follows = useRef(true);
  useEffect(() => {
    const element = list.current;
    if (!element) return;
    if (follows.current) element.scrollTop = element.scrollHeight;
    const look = () => (follows.current = element.scrollHeight - element.scrollTop - element.clientHeight < 40);
    element.addEventListener("scroll", look);
    return () => element.removeEventListener("scroll", look);
  }, [last]);
  return list;
}

function Line({ at, level, message, fields, run }) {
  const time = Date.parse(at);
  const day = dayOf(time) !== dayOf(Date.parse(run.started_at ?? run.created_at)) && dayOf(time);
  return html`
    <li class=${level} translate=${false}>
      <time class="quiet" datetime=${at} title=${moment(time)}>${day && `${day} `}${clock(time)}</time>
      <span class="level">${level}</span>
      <span><bdi>${message}</bdi>${Object.entries(fields).map(([name, value]) => html` <span class="field"><bdi>${name}</bdi>=<bdi>${shown(value)}</bdi></span>`)}</span>
    </li>`;
}

const shown = (value) => (typeof value === "string" ? value : JSON.stringify(value));

/** The page that is shown, with the lines that came after it. */
async function following(id, known, signal) {
  const path = `v1/jobs/${id}/logs`;
  if (!known) return pageOf(await api("GET", path, { query: { limit: FIRST_SHOWN }, signal }));
  let lines = known.lines, page;
  do {
    page = await api("GET", path, { query: { after: page?.cursor ?? known.cursor, limit: MOST }, signal });
    lines = [...lines, ...page.log_lines].slice(-MOST);
  } while (page.has_more);
  return pageOf({ ...page, log_lines: lines, left_out: Math.max(known.left_out, page.logged - MOST) });
}

function pageOf({ log_lines: lines, cursor, logged, left_out: gone }) {
  const first = lines[0]?.line ?? logged + 1;
  return { lines, cursor, logged, left_out: gone, earlier: Math.max(0, first - 1 - gone) };
}
