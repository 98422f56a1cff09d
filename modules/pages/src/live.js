// Keeps an open page up to date: whenever the node tells of a change, the page is fetched again and every part marked `data-live` that
// differs is put in the place of the old one, and its title. What the reader writes or has opened is never touched.
"use strict";

const REST_MS = 300;

async function refresh() {
  const response = await fetch(location.href, { headers: { accept: "text/html" }, redirect: "error" });
  // The session has ended: what stands here is for nobody any more.
  if (response.status === 401) location.reload();
  if (!response.ok) return;
  const fresh = new DOMParser().parseFromString(await response.text(), "text/html");
  document.title = fresh.title;
  for (const old of document.querySelectorAll("[data-live][id]")) {
    const now = fresh.getElementById(old.id);
    if (!now || now.isEqualNode(old) || isWrittenIn(old)) continue;
    const focused = old.contains(document.activeElement) ? place(document.activeElement) : null;
    const open = [...old.querySelectorAll("details[id][open]")].map((details) => details.id);
    old.replaceWith(document.adoptNode(now));
    for (const id of open) document.getElementById(id)?.setAttribute("open", "");
    if (focused) now.querySelector(focused)?.focus();
  }
}

function isWrittenIn(part) {
  const active = document.activeElement;
  return part.contains(active) && active.matches("input, textarea, select");
}

// How to find an element again in a fresh copy of its part.
function place(element) {
  if (element.id) return "#" + CSS.escape(element.id);
  if (element.hasAttribute("href")) return `[href="${CSS.escape(element.getAttribute("href"))}"]`;
  return null;
}

let waiting = false;
function soon() {
  if (waiting) return;
  waiting = true;
  setTimeout(() => { waiting = false; refresh().catch(() => {}); }, REST_MS);
}

const connection = document.getElementById("connection");
let changes = null;

// A browser has six connections to a host: tabs that nobody sees must not keep them.
function listen() {
  changes?.close();
  changes = null;
  if (document.hidden) return;
  changes = new EventSource("/live");
  changes.onmessage = soon;
  // What happened between the loading of the page and now has not been told.
  changes.onopen = () => { connection.textContent = ""; soon(); };
  // Whether nobody answers, or only not to this session any more, the page itself tells.
  changes.onerror = () => { connection.textContent = connection.dataset.lost; soon(); };
}

document.addEventListener("visibilitychange", listen);
listen();
