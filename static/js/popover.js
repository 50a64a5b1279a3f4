// A cell's details, floating beside it: after 150 ms under the pointer, at once under the cursor, pinned by Space or a click.
import * as keys from "./keys.js";
import { address, isSquare, label, letter, main } from "./table.js";

const HOVER = 150;
const GRACE = 250; // to get from the cell into the popover
const GAP = 6;

let pop = null;
let cell = null;
let pinned = false;
let timer = 0;
let asked = null;
const kept = new Map();
const dressers = [];
export const onOpen = (run) => dressers.push(run); // run(cell, popover), before it is placed

export const shown = () => (pop ? { sha: cell.parentElement.id, key: keyOf(cell), pinned } : null);
const keyOf = (one) => address(one).split(`${one.parentElement.id}/`)[1].split("?")[0];

export function forget() {
  kept.clear();
}

async function content(url) {
  if (kept.has(url)) return kept.get(url);
  asked?.abort();
  asked = new AbortController();
  const response = await fetch(url, { headers: { "HX-Request": "true" }, signal: asked.signal });
  const text = response.ok ? await response.text() : "<p class=job>These details could not be loaded.</p>";
  if (response.ok) {
    if (kept.size > 40) kept.delete(kept.keys().next().value);
    kept.set(url, text);
  }
  return text;
}

// Beside the cell's column and below (or above) its row, so that it covers neither; within the window.
function put() {
  if (!pop) return;
  const square = cell.getBoundingClientRect();
  const area = main.getBoundingClientRect();
  if (square.bottom < area.top || square.top > area.bottom) return close();
  const below = area.bottom - square.bottom - 2 * GAP;
  const above = square.top - 2 * GAP;
  pop.style.setProperty("--room", `${Math.max(below, above)}px`);
  const { width, height } = pop.getBoundingClientRect();
  const x = square.right + GAP + width < innerWidth - GAP ? square.right + GAP : Math.max(GAP, square.left - GAP - width);
  const y = height <= below || below >= above ? square.bottom + GAP : Math.max(GAP, square.top - GAP - height);
  pop.style.setProperty("--x", `${Math.round(x)}px`);
  pop.style.setProperty("--y", `${Math.round(y)}px`);
}

function pin(on) {
  pinned = on;
  pop?.classList.toggle("pinned", on);
}

export async function open(on, { pin: keep = false } = {}) {
  clearTimeout(timer);
  if (letter(on) === "N") {
    if (!pinned) close();
    return;
  }
  if (pop && cell === on) {
    if (keep) pin(true);
    return;
  }
  const url = address(on);
  let text;
  cell?.removeAttribute("aria-describedby");
  cell = on;
  try {
    text = await content(url);
  } catch {
    return; // another cell was asked for meanwhile, or the network is away, which the bar already says
  }
  if (cell !== on || !on.isConnected) return;
  if (!pop) {
    pop = document.createElement("aside");
    pop.className = "pop float";
    pop.id = "pop";
    pop.setAttribute("role", "dialog");
    pop.addEventListener("pointerenter", () => clearTimeout(timer));
    pop.addEventListener("pointerleave", later);
    document.body.append(pop);
  }
  pop.innerHTML = text; // our own server's answer, escaped there; and the page's policy runs no script in it
  for (const run of dressers) run(on, pop);
  pop.setAttribute("aria-label", label(on));
  on.setAttribute("aria-describedby", "pop");
  pin(keep);
  put();
}

export function close() {
  clearTimeout(timer);
  asked?.abort();
  cell?.removeAttribute("aria-describedby");
  const inside = pop?.contains(document.activeElement);
  const back = cell;
  pop?.remove();
  pop = null;
  cell = null;
  pinned = false;
  if (inside) back?.focus();
}

function later() {
  clearTimeout(timer);
  if (!pinned) timer = setTimeout(() => { if (pop && cell !== document.activeElement) close(); }, GRACE);
}

// The table was replaced, or the cell changed: stay with the same commit and column, showing what is true now.
export function rejoin(found) {
  if (!pop) return;
  const keep = pinned;
  if (!found) return close();
  const inside = pop.contains(document.activeElement);
  if (inside) { cell = found; put(); return; } // never under someone's fingers
  cell = null;
  open(found, { pin: keep });
}

export const isFor = (one) => pop !== null && one === cell;

export function start() {
  const square = (event) => {
    const found = event.target.closest?.("tbody td");
    return isSquare(found) ? found : null;
  };
  main.addEventListener("pointerover", (event) => {
    const found = event.pointerType === "mouse" && square(event);
    if (!found || pinned || found === cell) {
      if (found && found === cell) clearTimeout(timer);
      return;
    }
    clearTimeout(timer);
    timer = setTimeout(() => open(found), HOVER);
  });
  main.addEventListener("pointerleave", later);
  main.addEventListener("pointerout", (event) => { if (square(event) === cell) later(); });
  main.addEventListener("focusin", (event) => {
    const found = square(event);
    if (found && !(pinned && found === cell)) open(found);
    else if (!found && !pinned) close();
  });
  main.addEventListener("click", (event) => {
    const found = square(event);
    if (!found || event.button || event.ctrlKey || event.metaKey || event.shiftKey || matchMedia("(max-width: 700px)").matches) return;
    event.preventDefault();
    found.tabIndex = 0;
    found.focus();
    open(found, { pin: true });
  });
  keys.on(" ", (event) => {
    const found = square(event);
    if (!found) return false;
    if (pop && found === cell) pin(!pinned);
    else open(found, { pin: true });
    return true;
  }, { letter: false });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && !event.defaultPrevented && pop && !document.querySelector("dialog[open]")) {
      close();
      event.preventDefault();
    }
  });
  main.addEventListener("scroll", () => pop && requestAnimationFrame(put), { passive: true });
  addEventListener("resize", () => pop && requestAnimationFrame(put));
}
