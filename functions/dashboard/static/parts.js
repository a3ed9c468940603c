// Small components that several views share.

import { html, useEffect, useRef, useState } from "./html.js";
import { now } from "./api.js";
import { ago, capital, duration, moment, number } from "./format.js";
import { useTick } from "./live.js";

export const LIVE = ["pending", "running"];
export const STATUSES = ["pending", "running", "completed", "failed", "cancelled"];

export const isLive = (run) => LIVE.includes(run.status);

export const Mark = () => html`
  <svg class="mark" viewBox="0 0 32 32" aria-hidden="true">
    <rect width="32" height="32" rx="8" />
    <path d="M21.6 18.9A8.2 8.2 0 0 1 13.1 8.3a8.4 8.4 0 1 0 8.5 10.6Z" />
    <circle cx="21.2" cy="10.6" r="2" />
  </svg>`;

/** The status of a run. Between two slices, one that waits does not run. */
export const Status = ({ of, waits }) => {
  const shown = of === "running" && waits ? "waiting" : of;
  return html`<span class="status ${shown}" translate=${false} title=${shown === "waiting" ? `Waits for ${waits}` : null}><i aria-hidden="true"></i>${capital(shown)}</span>`;
};

/** A project; undefined is a deleted one, null one that is not known yet. */
export const Project = ({ of }) =>
  of === null
    ? null
    : of
    ? html`<span class="project" translate=${false}><i style=${{ backgroundColor: of.color }} aria-hidden="true"></i>${of.name}</span>`
    : html`<span class="quiet">A deleted project</span>`;

/** A time relative to now, with the exact time on hover and for machines. */
export function Ago({ at, prefix = "" }) {
  useTick(15_000);
  const then = Date.parse(at);
  return html`<time datetime=${at} title=${moment(then)}>${prefix}${ago(then, now())}</time>`;
}

/** The duration from `from` to `to`, or to now without `to`. */
export function Took({ from, to }) {
  useTick(1_000, !to);
  if (!from) return html`<span class="quiet">—</span>`;
  return html`<span class="figures" translate=${false}>${duration((to ? Date.parse(to) : now()) - Date.parse(from))}</span>`;
}

/** The time until `at`. */
export function Countdown({ at }) {
  useTick(1_000);
  const left = Date.parse(at) - now();
  return left > 0
    ? html`Continues in <span class="figures" translate=${false}>${duration(left)}</span>`
    : html`Continues any moment now`;
}

const WITHOUT_PROGRESS = { pending: "Not started", running: "No step yet", completed: "Done" };

/**
 * The progress of a run, for the bar and the text beside it. `value` is null if it is unknown. `message` is the job's,
 * without the count if it begins with it: the page shows the count anyway.
 */
export function progressOf({ status, progress }) {
  const { processed = 0, total = 0 } = progress ?? {};
  const words = progress ? `${number(processed)} of ${number(total)}` : (WITHOUT_PROGRESS[status] ?? "No progress");
  const told = progress?.message ?? "";
  const message = told === words ? "" : told.startsWith(`${words}, `) ? told.slice(words.length + 2) : told;
  if (total > 0) return { words, message, value: processed, max: total };
  return { words, message, value: LIVE.includes(status) ? null : status === "completed" ? 1 : 0, max: 1 };
}

/** The progress bar of a run. `label` describes it for screen readers. */
export function Bar({ run, label }) {
  const { value, max } = progressOf(run);
  return value === null
    ? html`<progress key="unknown" class=${run.status} aria-label=${label}></progress>`
    : html`<progress key="known" class=${run.status} value=${value} max=${max} aria-label=${label}>${value} of ${max}</progress>`;
}

/** An error message. */
export const Problem = ({ children }) => html`<div class="problem" role="alert">${children}</div>`;

/** A message that fills the page: empty, not allowed, not found. */
export function Blank({ title, children, actions, tone = "" }) {
  return html`
    <section class="blank ${tone}">
      <${Mark} />
      <h2>${title}</h2>
      <p>${children}</p>
      ${actions && html`<div class="actions">${actions}</div>`}
    </section>`;
}

/** Announces `text` to screen readers whenever it changes. */
export const Announce = ({ text }) => html`<div class="unseen" role="status" aria-live="polite">${text}</div>`;

const select = (field) => field?.select();

/** Copies the result of `text()`. If the browser refuses, shows the text selected, to be copied by hand. */
export function Copy({ text, what }) {
  const [outcome, setOutcome] = useState("");
  const timer = useRef();
  useEffect(() => () => clearTimeout(timer.current), []);
  const copy = async () => {
    clearTimeout(timer.current);
    try {
      await navigator.clipboard.writeText(text());
      setOutcome("copied");
      timer.current = setTimeout(() => setOutcome(""), 2_000);
    } catch {
      setOutcome("refused");
    }
  };
  return html`
    <button class="plain copy" type="button" onClick=${copy} aria-label="Copy ${what}" title="Copy ${what}">
      ${outcome === "copied" ? "Copied" : "Copy"}
    </button>
    <${Announce} text=${outcome === "copied" ? `Copied ${what}` : ""} />
    ${outcome === "refused" &&
    html`
      <p class="hint" role="alert">The browser does not allow this page to copy. The text is selected: copy it by hand.</p>
      <textarea class="code" readonly rows="3" aria-label="Text of the ${what}" ref=${select} defaultValue=${text()} translate=${false}></textarea>`}`;
}

/**
 * A modal dialog, open as long as it is rendered. When it closes, the focus returns to where it was. While it is `busy`
 * it cannot be closed, because it has to show the response.
 */
export function Dialog({ title, onClose, busy = false, children }) {
  const dialog = useRef();
  useEffect(() => {
    const shown = dialog.current;
    const before = document.activeElement;
    try {
      shown.showModal();
    } catch {
      // A browser without modal dialogs shows it below the page.
      shown.setAttribute("open", "");
    }
    return () => {
      try {
        shown.close();
      } catch {
        // It disappears with its element.
      }
      if (before?.isConnected) before.focus();
    };
  }, []);
  const close = () => busy || onClose();
  const onBackdrop = (event) => event.target === dialog.current && close();
  // In Chromium `preventDefault` stops Escape only once. `closedby`, which some browsers lack, stops the second Escape.
  return html`
    <dialog ref=${dialog} aria-labelledby="dialog-title" closedby=${busy ? "none" : "closerequest"} onMouseDown=${onBackdrop}
      onCancel=${(event) => { event.preventDefault(); close(); }}>
      <div class="sheet">
        <header>
          <h2 id="dialog-title">${title}</h2>
          <button class="plain icon" type="button" disabled=${busy} onClick=${close} aria-label="Close">
            <svg viewBox="0 0 16 16" aria-hidden="true"><path d="m4 4 8 8m0-8-8 8" /></svg>
          </button>
        </header>
        ${children}
      </div>
    </dialog>`;
}
