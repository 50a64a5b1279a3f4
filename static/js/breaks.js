// A break's page: its keys, and its own renewal when something has changed.
import "./frame.js"; // ages, menus, and the keys that every page has
import * as acting from "./acting.js";
import { tickAges } from "./age.js";
import * as keys from "./keys.js";

const main = document.getElementById("main");
const act = (name) => main.querySelector(`[data-act="${name}"]`);

const OVER = { acknowledge: "It is acknowledged already, or over." };

// What asks first opens with its first field under the fingers; what is disabled takes focus and so says why.
function run(name) {
  const found = act(name);
  if (!found) return refuse(name);
  if (found.localName === "summary") {
    for (const other of main.querySelectorAll(".ask[open]")) if (other !== found.parentElement) other.open = false;
    found.parentElement.open = true;
    found.parentElement.querySelector("input:not([type=hidden]), select, textarea")?.focus();
  } else if (found.getAttribute("aria-disabled")) {
    found.focus();
    acting.say(found.title, { late: true });
  }
  else found.click();
}

// Whoever may not act reads why; and an act that has no button now is not asked for in silence.
function refuse(name) {
  const why = document.getElementById("may-not");
  const door = why?.querySelector("a");
  if (door) acting.say("Sign in to act on this break.", { late: true, more: [door.cloneNode(true)] });
  else acting.say(why ? why.textContent : OVER[name] ?? "This break is over.", { late: true });
}

const follow = (key) => () => {
  const link = document.querySelector(`.crumb [data-key=${key}]`);
  if (!link) return false;
  link.click();
};

for (const [key, name] of Object.entries({ a: "acknowledge", o: "own", v: "revert", r: "rerun", b: "opinion", i: "issue", e: "note" })) keys.on(key, (event) => { if (!event.repeat) run(name); });
keys.on("n", follow("n"));
keys.on("p", follow("p"));

const asking = () => main.querySelector(".ask[open]");

// Esc closes the question, before the frame takes it for leaving a field; what was typed stays in there.
addEventListener("keydown", (event) => {
  const open = event.key === "Escape" && !event.defaultPrevented && asking();
  if (!open || document.querySelector("dialog[open], details.menu[open]")) return;
  open.open = false;
  open.querySelector("summary").focus();
  event.preventDefault();
}, true);
document.addEventListener("click", (event) => {
  for (const one of main.querySelectorAll(".ask[open]")) if (!one.contains(event.target)) one.open = false;
});

// What somebody is typing is not swept away: the page is renewed once they are done.
let waiting = false;
document.body.addEventListener("htmx:beforeRequest", (event) => {
  if (event.target !== main || !asking()) return;
  event.preventDefault();
  waiting = true;
});
main.addEventListener("toggle", () => {
  if (!waiting || asking()) return;
  waiting = false;
  main.dispatchEvent(new Event("live", { bubbles: true }));
}, true);

let before = null; // the act that had focus
document.body.addEventListener("htmx:beforeSwap", (event) => {
  if (event.target === main) before = main.contains(document.activeElement) ? document.activeElement.dataset.act ?? null : null;
});
document.body.addEventListener("htmx:afterSwap", (event) => {
  if (event.target !== main) return;
  tickAges(main);
  if (before) act(before)?.focus({ preventScroll: true });
});
