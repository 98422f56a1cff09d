// Shows the pause before an answer, and begins it anew whenever the page comes into view; the window itself refuses answers that come too early. A key
// that is held down answers nothing.
"use strict";

const PAUSE_MS = 1000;
const answers = document.querySelectorAll("#answer button[name]");
let since = performance.now();

function begin() {
  since = performance.now();
  for (const button of answers) button.setAttribute("aria-disabled", "true");
  setTimeout(show, PAUSE_MS);
}

function show() {
  if (!isArmed()) return;
  for (const button of answers) button.removeAttribute("aria-disabled");
}

function isArmed() {
  return !document.hidden && performance.now() - since >= PAUSE_MS;
}

for (const button of answers) {
  button.addEventListener("click", (event) => { if (!isArmed()) event.preventDefault(); });
  button.addEventListener("keydown", (event) => { if (event.repeat) event.preventDefault(); });
}
document.addEventListener("visibilitychange", begin);
addEventListener("pageshow", begin);
addEventListener("focus", begin);
begin();
