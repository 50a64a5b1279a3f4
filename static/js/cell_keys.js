// What the keys V, R, B, C and L do on the grid: about the focused cell's break if it is in a bracket, else about the cell.
// With no cell focused they mean the break that one is at, above.
import * as acting from "./acting.js";
import * as brackets from "./brackets.js";
import * as keys from "./keys.js";
import { address, header, isSquare, main, META } from "./table.js";

const { base } = main.dataset;

// The focused place of the grid: its row, and its configuration or group if it is a square.
function spot() {
  const cell = document.activeElement?.closest?.("table.grid tbody td, table.grid tbody th");
  if (!cell) return null;
  const square = isSquare(cell) && cell.cellIndex >= META ? cell : null;
  const { c: key = "", n: name = "" } = square ? header(square.cellIndex).dataset : {};
  return { sha: cell.parentElement.id, square, name, group: key.startsWith("group/"), short: cell.parentElement.id.slice(0, 7) };
}

const lineOf = (number) => brackets.lines().find((line) => line.dataset.break === number);
const url = (number) => `${base}/break/${number}`;
const none = (what) => acting.say(`No break is open. Go to a cell to ${what}.`, { late: true });
const folded = (here, what) => acting.say(`“${here.name}” is a group. E expands it, then ${what}.`, { late: true });
const noSquare = (what) => acting.say(`Go to a cell to ${what}.`, { late: true });

// What stands disabled above the grid says why, there and in the bar.
function refused(number, name) {
  const found = lineOf(number)?.querySelector(`[data-act="${name}"][aria-disabled]`);
  if (!found) return false;
  found.focus();
  acting.say(found.getAttribute("aria-label"), { late: true });
  return true;
}

function revert() {
  const here = spot();
  const number = here ? brackets.under() : brackets.meant()?.dataset.break;
  if (number) return refused(number, "revert") || acting.go(`${url(number)}/revert`);
  return here ? acting.go(`${base}/commit/${here.sha}/revert`) : none("revert its commit");
}

function opinion() {
  const here = spot();
  const number = here ? brackets.under() : brackets.meant()?.dataset.break;
  if (number) return refused(number, "opinion") || acting.go(`${url(number)}/opinion`);
  if (!here) return none("say what you think of it");
  if (!here.square) return noSquare("say what you think of it");
  if (here.group) return folded(here, "B says what you think of one of its configurations");
  return acting.go(`${address(here.square).split("?")[0]}/opinion`);
}

function rerunBreak(number) {
  const title = lineOf(number)?.dataset.title;
  acting.twice("r", `Re-run what break ${number} needs${title ? ` (${title})` : ""}?`, () => acting.send(`${url(number)}/rerun`));
}

function rerun() {
  const here = spot();
  const number = here ? brackets.under() : brackets.meant()?.dataset.break;
  if (here?.square && !here.group) {
    const to = `${address(here.square).split("?")[0]}/rerun`;
    return acting.twice("r", `Re-run ${here.name} on ${here.short}?`, () => acting.send(to));
  }
  if (number) return rerunBreak(number);
  if (!here) return none("re-run it");
  return here.group ? folded(here, "R re-runs one of its configurations") : noSquare("re-run it");
}

function claim() {
  const here = spot();
  const number = here ? brackets.under() : brackets.meant()?.dataset.break;
  if (!number) return here ? acting.say("No break here to claim: the cell is in no bracket.", { late: true }) : none("claim its break");
  const version = lineOf(number)?.querySelector("input[name=version]")?.value ?? "";
  return acting.send(`${url(number)}/own`, { version });
}

// The newest failed run's log, as the cell's details name it.
async function log() {
  const here = spot();
  if (!here?.square) return noSquare("read its log");
  if (here.group) return folded(here, "L opens a log");
  let found = document.querySelector("#pop [data-log]");
  if (here.square.getAttribute("aria-describedby") !== "pop") {
    const response = await fetch(address(here.square), { headers: { "HX-Request": "true" } });
    found = new DOMParser().parseFromString(await response.text(), "text/html").querySelector("[data-log]");
  }
  if (found) location.assign(found.getAttribute("href"));
  else acting.say(`${here.name} has no failed run on ${here.short}, so there is no log to open.`, { late: true });
}

export function start() {
  for (const [key, run] of Object.entries({ v: revert, r: rerun, b: opinion, c: claim, l: log })) keys.on(key, (event) => { if (!event.repeat) run(); });
}
