// The breaks on the grid: the brackets over it, the suspects' rows, and what stands above it. The server makes all three; here
// they are put in the place of the old ones, and keys lead from break to break.
import { setText, tickAges } from "./age.js";
import * as cursor from "./cursor.js";
import * as keys from "./keys.js";
import * as popover from "./popover.js";
import { label, main, META, rows } from "./table.js";
import { onSwap } from "./view.js";

const strip = () => document.getElementById("needs");
const picture = () => document.getElementById("brackets");
export const lines = () => [...strip().querySelectorAll("tr[data-break]")];
const fragment = (html) => document.createRange().createContextualFragment(html); // our own server's, escaped there

let token = "";
let shown = ""; // the strip as the server last sent it
let drawn = "";

// Rows begin below the head: it is as high as tokens.css says, unless somebody has larger letters.
function place() {
  const head = main.querySelector("table.grid thead");
  const at = head && `${head.offsetTop + head.offsetHeight}px`;
  const { style } = document.documentElement;
  if (at && style.getPropertyValue("--head") !== at) style.setProperty("--head", at);
}

const known = () => new Map(lines().map((line) => [line.dataset.break, line.dataset.title]));

// The live region tells of breaks that open or close, and of nothing else.
function tell(before, after) {
  const words = [];
  for (const [number, title] of after) if (!before.has(number)) words.push(`Break ${number} opened: ${title}.`);
  for (const number of before.keys()) if (!after.has(number)) words.push(`Break ${number} closed.`);
  if (words.length) setText(document.getElementById("say"), words.join(" "));
}

// Put the new strip in; focus stays on the same thing of the same break.
function replace(fresh) {
  const active = document.activeElement;
  const number = strip().contains(active) && active.closest("tr[data-break]")?.dataset.break;
  const act = active.dataset?.act;
  const open = new Set(lines().filter((line) => line.classList.contains("shown")).map((line) => line.dataset.break));
  const before = known();
  strip().replaceWith(fresh);
  for (const field of strip().querySelectorAll("input[name=csrfmiddlewaretoken]")) if (token) field.value = token;
  for (const line of lines()) if (open.has(line.dataset.break)) line.classList.add("shown");
  if (number) {
    const line = lines().find((one) => one.dataset.break === number);
    (line?.querySelector(act ? `[data-act="${act}"]` : "a") ?? strip().querySelector("a"))?.focus({ preventScroll: true });
  }
  tickAges(strip());
  tell(before, known());
}

function mark(row, said) {
  const [columns, tag] = said ?? ["", ""];
  const cell = row.querySelector(".ti");
  const old = cell.querySelector(".sus");
  if ((row.dataset.sus ?? null) === (said ? columns : null) && (old?.outerHTML ?? "") === tag) return;
  const relabel = new Set([...(row.dataset.sus ?? "").split(" "), ...columns.split(" ")].filter(Boolean));
  old?.remove();
  row.classList.toggle("sus", Boolean(said));
  if (said) row.dataset.sus = columns;
  else delete row.dataset.sus;
  if (tag) cell.prepend(fragment(tag));
  const link = cell.querySelector(".sus");
  if (link) link.tabIndex = -1;
  for (const at of relabel) {
    const square = row.cells[Number(at) + META];
    for (const one of [square, square?.querySelector("a")]) if (one?.hasAttribute("aria-label")) one.setAttribute("aria-label", label(square));
  }
}

// After a refresh: only what differs is touched.
export function apply(said) {
  if (!said) return;
  if (said.svg !== drawn) {
    drawn = said.svg;
    const fresh = fragment(said.svg).firstChild;
    if (picture() && !picture().isEqualNode(fresh)) picture().replaceWith(fresh);
  }
  for (const row of rows()) if (said.marks[row.id] || row.dataset.sus !== undefined) mark(row, said.marks[row.id]);
  const plain = said.needs.replaceAll(/name="csrfmiddlewaretoken" value="[^"]*"/g, "").replaceAll(/(<time[^>]*>)[^<]*/g, "$1");
  if (plain === shown) return;
  const first = shown === "";
  shown = plain;
  const fresh = fragment(said.needs).getElementById("needs");
  if (fresh && !(first && same(fresh))) replace(fresh);
}

// Whether the strip that came with the page already says this, ages aside.
function same(fresh) {
  const text = (one) => {
    const copy = one.cloneNode(true);
    for (const time of copy.querySelectorAll("time")) time.textContent = "";
    for (const field of copy.querySelectorAll("input[name=csrfmiddlewaretoken]")) field.remove();
    return copy.textContent.replaceAll(/\s+/g, " ");
  };
  return text(fresh) === text(strip());
}

// The break of the focused line above the grid, or of the bracket around the focused cell; or none.
export function under() {
  const cell = document.activeElement?.closest?.("tbody td, tr[data-break]");
  if (cell?.dataset.break) return cell.dataset.break;
  if (!cell || !picture()) return null;
  const middle = (cell.parentElement.sectionRowIndex + 0.5) * cell.parentElement.offsetHeight;
  const around = (one) => {
    const { y, height } = one.getBBox();
    return Number(one.dataset.c) === cell.cellIndex - META && y <= middle && middle <= y + height;
  };
  return [...picture().children].find(around)?.dataset.b ?? null;
}

let last = null;

// To the next break's suspect on the grid; to its line above, if the page does not show it.
function next() {
  const all = lines();
  if (!all.length) return false;
  const here = under() ?? last;
  const at = all.findIndex((line) => line.dataset.break === here);
  const line = all[(at + 1) % all.length];
  last = line.dataset.break;
  const bracket = [...picture()?.children ?? []].find((one) => one.dataset.b === last);
  if (bracket && !matchMedia("(max-width: 700px)").matches) cursor.focus(Number(bracket.dataset.r), META + Number(bracket.dataset.c));
  else line.querySelector("a").focus();
}

// The break that is meant when no cell is: the focused one, the one that was gone to last, or the first.
export const meant = () => {
  const number = under() ?? last;
  return lines().find((one) => one.dataset.break === number) ?? lines()[0];
};

// The name of the break that a cell belongs to, in its details.
function name(cell, pop) {
  const at = String(cell.cellIndex - META);
  const numbers = new Set([...picture()?.children ?? []].filter((one) => one.dataset.c === at).map((one) => one.dataset.b));
  for (const line of lines()) {
    if (!numbers.has(line.dataset.break)) continue;
    const said = document.createElement("p");
    said.className = "brk";
    const link = document.createElement("a");
    link.href = line.querySelector("a").href;
    link.textContent = `Break ${line.dataset.break}`;
    const title = document.createElement("bdi");
    title.textContent = line.dataset.title;
    said.append(link, title);
    pop.querySelector("dl, footer")?.before(said);
  }
}

export function start() {
  token = document.querySelector("#needs input[name=csrfmiddlewaretoken]")?.value ?? "";
  place();
  addEventListener("resize", place);
  popover.onOpen(name);
  onSwap((page) => {
    const fresh = page?.getElementById("needs");
    if (fresh && !same(fresh)) replace(fresh);
    shown = drawn = "";
    place();
  });
  keys.on("n", next);
  // On a phone a break opens where it is touched.
  document.addEventListener("click", (event) => {
    const line = event.target.closest("#needs .later");
    if (line && !event.target.closest("a, button, form")) line.classList.toggle("shown");
  });
}
