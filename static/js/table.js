// Reads and writes the grid's table: which cell is where, what it says, what it is called.

export const main = document.getElementById("main");
export const META = 5; // sha, pull request, title, author, age

const GLYPHS = { N: "·", S: "–", C: "~", U: "O", O: "O", Q: "Q", L: "!", W: "W", F: "F", P: "?", T: "T", X: "X" };
const WORDS = {
  N: "not run", S: "skipped", C: "cancelled", U: "neutral", O: "passed", Q: "queued", L: "no report",
  W: "failed, tolerated", F: "flaky, passed on retry", P: "running", T: "timed out", X: "failed",
};
const LOUD = "LWFTX";

export const table = () => main.querySelector("table.grid");
export const rows = () => table()?.tBodies[0].rows ?? [];
export const columns = () => table()?.tHead.rows[0].cells.length - 2 || 0; // without corner and margin
export const header = (column) => table().tHead.rows[0].cells[column - META + 1];
export const letter = (cell) => cell.className.charAt(0) || "O";
export const isSquare = (cell) => cell?.localName === "td" && !cell.classList.contains("m");

export function find(sha, key) {
  const row = sha && document.getElementById(sha);
  if (!row) return null;
  for (let at = META; at < META + columns(); at += 1) if (header(at).dataset.c === key) return row.cells[at];
  return null;
}

export function label(cell) {
  const row = cell.parentElement;
  const { n } = header(cell.cellIndex).dataset;
  const suspect = row.dataset.sus?.split(" ").includes(String(cell.cellIndex - META)) ? ", suspect" : "";
  return `${n}, ${row.id.slice(0, 7)}: ${WORDS[letter(cell)]}${suspect}`;
}

export function address(cell) {
  const { base, branch } = main.dataset;
  const suffix = branch ? `?branch=${encodeURIComponent(branch)}` : "";
  return `${base}/cell/${cell.parentElement.id}/${header(cell.cellIndex).dataset.c}${suffix}`;
}

// Into the text that is there already: for a new one the browser goes through the whole table.
function say(element, glyph) {
  const text = element.firstChild;
  if (text?.nodeType === Node.TEXT_NODE && !text.nextSibling) text.nodeValue = glyph;
  else element.textContent = glyph;
}

// Show another letter. A cell that needs a person becomes a link, as the server would have made it.
export function write(cell, to) {
  const square = cell.parentElement.parentElement.localName === "tbody";
  cell.className = to === "O" ? "" : to;
  if (cell.hasAttribute("aria-label")) cell.setAttribute("aria-label", label(cell));
  if (!square || !LOUD.includes(to)) {
    say(cell, GLYPHS[to]);
    return;
  }
  const link = document.createElement("a");
  link.href = address(cell);
  link.dataset.g = header(cell.cellIndex).dataset.n;
  link.setAttribute("aria-label", label(cell));
  link.tabIndex = -1;
  link.textContent = GLYPHS[to];
  cell.replaceChildren(link);
}

// What stands in a row, one letter a column.
export function read(row, first = META) {
  let letters = "";
  for (let at = first; at < first + columns(); at += 1) letters += letter(row.cells[at]);
  return letters;
}

// “26 passed · 3 running or queued”: what a phone says; of an unfolded group, the group counts and not its members.
export function sums(row) {
  let passed = 0;
  let pending = 0;
  for (let at = META; at < META + columns(); at += 1) {
    if (header(at).classList.contains("mem")) continue;
    const said = letter(row.cells[at]);
    if (said === "O" || said === "U") passed += 1;
    if (said === "P" || said === "Q") pending += 1;
  }
  return [passed && `${passed} passed`, pending && `${pending} running or queued`].filter(Boolean).join(" · ");
}
