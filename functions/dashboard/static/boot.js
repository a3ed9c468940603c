// Loads the dashboard. Its modules are asked for at once, and a new AWS account answers ten calls at a time: what did
// not come is asked for again, what came is kept by the browser.

const AGAIN_MS = 2_000;

import("./app.js").catch((error) => {
  if (error instanceof SyntaxError) throw error;
  document.getElementById("app").textContent = "The dashboard did not load. Trying again …";
  setTimeout(() => location.reload(), AGAIN_MS);
});
