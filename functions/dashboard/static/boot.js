// Loads the dashboard. Its modules are asked for at once, and a new AWS account answers ten calls at a time: what did
// not come is asked for again, what came is kept by the browser. What came and does not work stays so: it is told.

const AGAIN_MS = 2_000;
const MOST_TRIES = 3;

/** Whether the browser keeps it. */
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
  // Tries that are not counted would have no end.
  const again = keep(mayHelp ? tries : 0) && mayHelp;
  document.getElementById("app").textContent = again ? "The dashboard did not load. Trying again …" : `The dashboard did not load: ${error.message}`;
  if (!again) throw error;
  setTimeout(() => location.reload(), AGAIN_MS);
}

import("./app.js").then(() => keep(0), failed);
