// One tab stop in the grid, moved by the arrow keys; the address follows the focused commit.
import * as keys from "./keys.js";
import { META, columns, header, isSquare, label, main, rows, table } from "./table.js";

let stop = null; // the element that is the grid's tab stop
let column = META;
let pending = 0;

const COUNTS = -2; // the row of group toggles, above
const NOW = -1; // the Now row, above the first commit

// Where a focused element stands: row (or COUNTS, NOW) and column.
function place(element) {
  const cell = element.closest("td, th");
  const line = cell.parentElement;
  if (line.parentElement === table().tBodies[0]) return { row: line.sectionRowIndex, column: cell.cellIndex };
  return { row: line.classList.contains("now") ? NOW : COUNTS, column };
}

function at(row, column) {
  if (row >= 0) return rows()[row]?.cells[column];
  const line = table().tHead.rows[row === NOW ? 2 : 1];
  if (column < META) return line.cells[0];
  if (row === NOW) return line.cells[column - META + 1];
  let passed = META;
  for (const cell of [...line.cells].slice(1)) {
    passed += cell.colSpan;
    if (column < passed) return cell;
  }
  return line.cells[0];
}

// A header's toggle is what takes focus there; elsewhere the cell does.
const target = (cell, row) => (row === COUNTS ? cell.querySelector("a") ?? cell : cell);

export function makeStop(element) {
  if (stop && stop !== element) stop.tabIndex = -1;
  stop = element;
  stop.tabIndex = 0;
}

export const current = () => stop;

export function focus(row, to) {
  const last = META + columns() - 1;
  const next = Math.max(0, Math.min(to, last));
  const cell = at(Math.max(COUNTS, Math.min(row, rows().length - 1)), next);
  if (!cell) return;
  column = next;
  const element = target(cell, row);
  makeStop(element);
  element.focus();
}

function follow(cell) {
  const row = cell.parentElement;
  clearTimeout(pending);
  pending = setTimeout(() => {
    const url = new URL(location.href);
    url.searchParams.set("at", row.id.slice(0, 10));
    url.hash = "";
    const text = url.pathname + url.search.replaceAll("%2C", ",").replaceAll("%2F", "/");
    history.replaceState(history.state, "", text);
    showAddress(text);
  }, 150);
}

export function showAddress(text) {
  const here = document.getElementById("here");
  if (here) here.textContent = text;
  document.getElementById("copy")?.setAttribute("href", text);
}

function mark(cell) {
  for (const one of main.querySelectorAll("tbody .at")) if (one !== cell.parentElement) one.classList.remove("at");
  if (cell.parentElement.parentElement.localName === "tbody") cell.parentElement.classList.add("at");
  for (const one of main.querySelectorAll("thead .cur, col.cur")) one.classList.remove("cur");
  const index = cell.cellIndex;
  if (index < META || cell.closest("thead")) return;
  header(index)?.classList.add("cur");
  table().querySelectorAll("col")[index]?.classList.add("cur");
}

const inGrid = (event) => event.target.closest?.("table.grid") && event.target.closest("td, th");

function move(rowStep, columnStep) {
  return (event) => {
    if (!inGrid(event)) return false;
    const from = place(event.target);
    focus(from.row + rowStep, from.column + columnStep);
    return true;
  };
}

function nextFailure() {
  const failing = [...table()?.tBodies[0].querySelectorAll("td.X, td.T") ?? []];
  if (!failing.length) return;
  const here = main.contains(document.activeElement) && document.activeElement.closest("tbody td, tbody th");
  const after = here && failing.find((cell) => here.compareDocumentPosition(cell) & Node.DOCUMENT_POSITION_FOLLOWING);
  const cell = after || failing[0];
  focus(cell.parentElement.sectionRowIndex, cell.cellIndex);
}

function toggle(event) {
  if (!inGrid(event)) return false;
  const { row, column: at_ } = place(event.target);
  const from = row === COUNTS ? column : at_;
  let at = from;
  while (at > META && header(at)?.classList.contains("mem")) at -= 1; // a member folds its group
  if (at < META) return false;
  header(at)?.querySelector("a")?.click();
  return true;
}

// After the table was replaced: with script one tab stop, so the links stop being some; and the stop is where it was.
export function adopt(keep) {
  if (!table()) return;
  for (const link of table().querySelectorAll("thead a, tbody a")) link.tabIndex = -1;
  if (keep) makeStop(keep);
  else {
    const row = main.dataset.at ? [...rows()].find((one) => one.id.startsWith(main.dataset.at)) : null;
    const cell = (row ?? rows()[0])?.cells[columns() ? META : 0];
    if (cell) makeStop(cell);
    if (row) {
      row.classList.add("at");
      row.scrollIntoView({ block: "nearest" });
    }
  }
}

export function start() {
  main.addEventListener("focusin", (event) => {
    const cell = event.target.closest("td, th");
    if (!cell || !cell.closest("table.grid")) return;
    makeStop(event.target);
    mark(cell);
    if (cell.closest("tbody")) {
      column = cell.cellIndex;
      if (isSquare(cell)) cell.setAttribute("aria-label", label(cell));
      follow(cell);
    }
  });
  const plain = { letter: false };
  keys.on("ArrowUp", move(-1, 0), plain);
  keys.on("ArrowDown", move(1, 0), plain);
  keys.on("ArrowLeft", move(0, -1), plain);
  keys.on("ArrowRight", move(0, 1), plain);
  keys.on("PageUp", move(-10, 0), plain);
  keys.on("PageDown", move(10, 0), plain);
  keys.on("Home", move(0, -Infinity), plain);
  keys.on("End", move(0, Infinity), plain);
  keys.on("Enter", (event) => {
    const cell = inGrid(event);
    if (!cell || event.target.localName === "a" || !cell.closest("tbody")) return false;
    const link = cell.classList.contains("pr") && cell.querySelector("a");
    (link || cell.parentElement.cells[0].querySelector("a")).click();
    return true;
  }, plain);
  keys.on("e", toggle);
  keys.on("x", nextFailure);
  keys.on("f", () => document.querySelector("#filter input[name=q]").focus());
  adopt(null);
}
