// Another view of the grid without leaving the page: groups unfold, filters apply, new commits come in. Scroll, focus and an
// open popover stay where they are; the address says what is shown.
import { setText, tickAges, tickChecked } from "./age.js";
import * as cursor from "./cursor.js";
import * as popover from "./popover.js";
import { find, header, main, META, rows } from "./table.js";

let going = null;
const listeners = [];
export const onSwap = (run) => listeners.push(run);

// What must not move under the reader: the first visible commit, and the column that was clicked or is focused.
function hold(key) {
  const top = main.getBoundingClientRect().top + (main.querySelector("thead")?.offsetHeight ?? 0);
  const row = main.scrollTop > 4 ? [...rows()].find((one) => one.getBoundingClientRect().top >= top - 2) : null;
  const column = key && [...main.querySelectorAll(".names th[data-c]")].find((one) => one.dataset.c === key);
  const x = column?.getBoundingClientRect().left;
  const y = row?.getBoundingClientRect().top;
  const { scrollTop, scrollLeft } = main;
  return () => {
    main.scrollTop = scrollTop;
    main.scrollLeft = scrollLeft;
    const now = row && document.getElementById(row.id);
    if (now) main.scrollTop += now.getBoundingClientRect().top - y;
    const there = key && [...main.querySelectorAll(".names th[data-c]")].find((one) => one.dataset.c === key);
    if (there && x !== undefined) main.scrollLeft += there.getBoundingClientRect().left - x;
  };
}

// The focused place, found again in the new table by commit and column.
function focusedPlace() {
  // Whoever pressed “3 new commits” goes back to where they were in the grid.
  const active = document.activeElement.closest(".more") ? cursor.current() : document.activeElement;
  if (!active) return null;
  const cell = main.contains(active) && active.closest("td, th");
  if (!cell) return null;
  const toggle = active.dataset.open ?? null;
  const row = cell.closest("tbody") ? cell.parentElement.id : "";
  const key = row && cell.cellIndex >= META ? header(cell.cellIndex)?.dataset.c : null;
  return { toggle, row, key, index: cell.cellIndex };
}

function refocus(place) {
  if (!place) return null;
  let found = null;
  if (place.toggle !== null) found = [...main.querySelectorAll(".counts [data-open]")].find((one) => one.dataset.open === place.toggle);
  else if (place.key) found = find(place.row, place.key) ?? document.getElementById(place.row)?.cells[META - 3];
  else if (place.row) found = document.getElementById(place.row)?.cells[Math.min(place.index, META)];
  found ??= rows()[0]?.cells[0];
  if (found) {
    cursor.makeStop(found);
    found.focus({ preventScroll: true });
  }
  return found;
}

function swap(text, key, form) {
  const page = new DOMParser().parseFromString(text, "text/html");
  const fresh = page.getElementById("main");
  if (!fresh) return false;
  const settle = hold(key);
  const place = focusedPlace();
  const open = popover.shown();
  main.replaceChildren(...fresh.childNodes);
  Object.assign(main.dataset, fresh.dataset);
  document.title = page.title;
  document.getElementById("notices").replaceWith(page.getElementById("notices"));
  const old = document.getElementById("filter");
  const next = page.getElementById("filter");
  if (form) {
    old.replaceWith(next);
  } else {
    // The fields stay: someone may be typing in one.
    old.querySelector(".seg").replaceWith(next.querySelector(".seg"));
    for (const field of old.querySelectorAll("input[type=hidden]")) field.remove();
    old.prepend(...next.querySelectorAll("input[type=hidden]"));
    const invalid = next.q.getAttribute("aria-invalid");
    if (invalid) old.q.setAttribute("aria-invalid", invalid);
    else old.q.removeAttribute("aria-invalid");
  }
  const go = document.querySelector(".find");
  for (const field of go.querySelectorAll("input[type=hidden]")) field.remove();
  go.append(...page.querySelectorAll(".find input[type=hidden]"));
  settle();
  cursor.adopt(refocus(place));
  if (open) popover.rejoin(find(open.sha, open.key));
  document.getElementById("checked").setAttribute("datetime", main.dataset.checked);
  tickChecked();
  tickAges(main);
  for (const run of listeners) run(page);
  return true;
}

// Show the view at `url`. `history`: "push", "replace" or "" (the address is already right).
export async function visit(url, { history: how = "push", key = null, form = false } = {}) {
  going?.abort();
  const mine = new AbortController();
  going = mine;
  main.setAttribute("aria-busy", "true");
  const slow = setTimeout(() => setText(document.getElementById("say"), "Loading 50 commits…"), 400);
  try {
    const response = await fetch(url, { signal: mine.signal, cache: "no-store" });
    const text = await response.text();
    if (!response.ok || !swap(text, key, form)) throw new Error(response.statusText);
    // The server may have led on to the page that a commit has moved to.
    const landed = new URL(response.url);
    const shown = landed.pathname + landed.search;
    if (how === "push") history.pushState(null, "", shown);
    else if (how === "replace") history.replaceState(null, "", shown);
    cursor.showAddress(decodeComma(shown));
    return true;
  } catch (error) {
    if (error.name !== "AbortError" && how === "push") location.assign(url); // the browser says best what is wrong
    return false;
  } finally {
    clearTimeout(slow);
    if (going === mine) {
      setText(document.getElementById("say"), "");
      main.removeAttribute("aria-busy");
    }
  }
}

const decodeComma = (text) => text.replaceAll("%2C", ",").replaceAll("%2F", "/");

// The filter's address, without what is empty or default.
function filterAddress(form, changed) {
  const data = new FormData(form);
  const query = new URLSearchParams();
  for (const name of ["q", "re", "show"]) if (data.get(name)) query.set(name, data.get(name).trim());
  for (const name of ["unstable", "rare"]) if (!form.querySelector(`[name=${name}][type=checkbox]`).checked) query.set(name, "0");
  for (const name of ["author", "open"]) if (data.get(name)) query.set(name, data.get(name).trim());
  // Another author's commits have other pages.
  if (data.get("page") && changed !== "author") query.set("page", data.get("page"));
  const text = query.toString();
  return decodeComma(form.getAttribute("action") + (text ? `?${text}` : ""));
}

export function start() {
  let wait = 0;
  const apply = (name, how) => visit(filterAddress(document.getElementById("filter"), name), { history: how });
  document.addEventListener("submit", (event) => {
    if (event.target.id !== "filter") return;
    event.preventDefault();
    clearTimeout(wait);
    apply(document.activeElement?.name, "push");
  });
  document.addEventListener("change", (event) => {
    if (event.target.form?.id === "filter" && event.target.type === "checkbox") apply(event.target.name, "push");
  });
  document.addEventListener("input", (event) => {
    if (event.target.form?.id !== "filter" || event.target.type === "checkbox") return;
    clearTimeout(wait);
    wait = setTimeout(() => apply(event.target.name, "replace"), 300);
  });
  document.addEventListener("click", (event) => {
    if (event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.defaultPrevented) return;
    const link = event.target.closest("#filter .seg a, .counts a, .names a, .notices a, .wrap .words a, .pages a");
    if (link && link.pathname === location.pathname) {
      event.preventDefault();
      const paging = link.closest(".pages") !== null;
      const column = link.closest("th")?.cellIndex;
      const key = link.closest(".names")?.querySelectorAll("th")[column]?.dataset.c ?? groupKey(link);
      visit(link.href, { key, form: link.closest(".words") !== null }).then((done) => { if (done && paging) main.scrollTop = 0; });
    }
    if (event.target.closest("#copy")) {
      event.preventDefault();
      copy();
    }
  });
  addEventListener("popstate", () => visit(location.href, { history: "", form: true }));
}

function groupKey(link) {
  const slug = link.dataset.open;
  return slug ? `group/${encodeURIComponent(slug)}` : null;
}

async function copy() {
  const link = document.getElementById("copy");
  try {
    await navigator.clipboard.writeText(link.href);
    setText(link, "Copied");
  } catch {
    setText(link, "Copy the address bar");
  }
  setTimeout(() => setText(link, "Copy link"), 2000);
}
