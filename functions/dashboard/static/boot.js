// Loads the dashboard. The browser requests all its modules at once, but a new AWS account answers only ten calls at a
// time. Missing modules are requested again, and the browser caches the others. A module that is broken is reported,
// because it would be broken again.

const AGAIN_MS = 2_000;
const MOST_TRIES = 3;

/** Stores the number of tries. Returns whether the browser allows it. */
function keep(tries) {
  try {
    history.replaceState({ tries }, "");
    return true;
  } catch {
    return false;
  }
}

function failed(error) {
  const tries = (history.state?.tries ?? 0) + 1;
  const mayHelp = tries < MOST_TRIES && !(error instanceof SyntaxError);
  // Without a count, the tries would never end.
  const again = keep(mayHelp ? tries : 0) && mayHelp;
  document.getElementById("app").textContent = again ? "The dashboard did not load. Trying again …" : `The dashboard did not load: ${error.message}`;
  if (!again) throw error;
  setTimeout(() => location.reload(), AGAIN_MS);
}

import("./app.js").then(() => keep(0), failed);
