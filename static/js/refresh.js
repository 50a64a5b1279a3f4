// Keeps the page current: the server's stream says what has changed, and only the cells that differ are touched. While there is
// no stream the page asks every ten seconds; while there is one it asks now and then all the same, for streams can go silent.
import { freshness, setText, tickChecked } from "./age.js";
import { listen, stream } from "./live.js";
import * as popover from "./popover.js";
import { main, META, read, rows, sums, table, write } from "./table.js";
import { onSwap, visit } from "./view.js";

const EVERY = 10000;
const EVERY_BESIDE_STREAM = 60000;
const phone = matchMedia("(max-width: 700px)");

let standing = new Map(); // sha → the letters in the DOM
let timer = 0;
let asking = false;
let etag = main.dataset.etag; // kept here, for writing it to the page would be a change of the page
let version = 0; // of what stands here: an answer that was overtaken on its way must not bring back the old
let streaming = false;
let moving = false; // another table is on its way
let problem = ""; // the server's words, beside the age

function notice(id, words, bad, retry) {
  let line = document.getElementById(id);
  if (!words) return line?.remove();
  if (!line) {
    line = document.createElement("p");
    line.id = id;
    document.getElementById("notices").append(line);
  }
  const kind = `notice ${bad ? "bad" : "late"}`;
  if (line.className !== kind) line.className = kind;
  if (line.firstChild?.nodeValue !== words) line.replaceChildren(words);
  if (retry && !line.querySelector("button")) {
    const button = document.createElement("button");
    button.className = "btn sm";
    button.textContent = "Try again";
    button.addEventListener("click", check);
    line.append(" ", button);
  }
}

function showState() {
  const stamp = document.getElementById("checked").getAttribute("datetime");
  const { kind, words } = freshness(stamp);
  notice("stale", [words, problem].filter(Boolean).join(" "), kind === "stalled" || problem);
}

function checked(stamp) {
  if (!stamp) return;
  document.getElementById("checked").setAttribute("datetime", stamp);
  tickChecked();
  showState();
}

function reading({ done, total }) {
  const line = document.getElementById("reading");
  if (!line) return;
  if (done >= total) return line.remove();
  setText(line.querySelector("span"), String(done));
  line.querySelector("progress").value = done;
}

function more(count) {
  let box = main.querySelector(".more");
  if (!count) return box?.remove();
  if (!box) {
    box = document.createElement("div");
    box.className = "more";
    const button = document.createElement("button");
    button.className = "btn pri";
    button.addEventListener("click", () => visit(withoutAt(), { history: "replace" }));
    box.append(button);
    main.prepend(box);
  }
  setText(box.firstChild, count === 1 ? "1 new commit" : `${count} new commits`);
}

function patch(row, letters, first) {
  const before = standing.get(row.id) ?? read(row, first);
  standing.set(row.id, letters);
  if (before === letters) return;
  for (let at = 0; at < letters.length; at += 1) {
    if (before[at] === letters[at]) continue;
    const cell = row.cells[at + first];
    write(cell, letters[at]);
    if (popover.isFor(cell)) popover.rejoin(cell);
  }
  if (phone.matches && first === META) setText(row.querySelector(".su"), sums(row));
}

function withoutAt() {
  const url = new URL(location.href);
  url.searchParams.delete("at");
  url.hash = "";
  return url.href;
}

const after = [];
export const onApplied = (run) => after.push(run); // run(changes)

async function apply(changes) {
  if (changes.version < version) return;
  version = changes.version;
  etag = changes.etag;
  problem = changes.state.problem;
  checked(changes.checked);
  reading(changes.state);
  popover.forget();
  // Other columns, or the first commits ever: the table itself is another one.
  if (changes.layout !== main.dataset.layout || !table()) {
    const shows = table() || Object.keys(changes.rows).length;
    if (!shows) return;
    moving = true;
    const done = await visit(location.href, { history: "" });
    moving = false;
    if (!done) forget(); // then it is asked for again
    return;
  }
  for (const row of rows()) if (changes.rows[row.id]) patch(row, changes.rows[row.id], META);
  patch(table().tHead.rows[2], changes.now, 1);
  for (const count of document.querySelectorAll("[data-count]")) setText(count, String(changes.counts[count.dataset.count]));
  more(changes.new_commits);
  for (const run of after) run(changes);
}

export async function check() {
  clearTimeout(timer);
  if (document.hidden || asking) return;
  asking = true;
  const mine = table();
  try {
    const response = await fetch(withoutAt(), {
      headers: { "X-Arborist-Refresh": rows()[0]?.id ?? "1", "If-None-Match": etag },
      cache: "no-store",
    });
    if (response.status === 304) checked(response.headers.get("X-Arborist-Checked"));
    else if (!response.ok) throw new Error(String(response.status));
    else {
      const changes = await response.json();
      if (mine === table()) await apply(changes); // else another view came meanwhile, newer than this answer
    }
    notice("offline", "");
  } catch {
    const stamp = document.getElementById("checked").getAttribute("datetime") ?? "";
    notice("offline", `Could not load newer commits. Shown: ${stamp.slice(11, 16) || "nothing yet"}.`, true, true);
  } finally {
    asking = false;
    again();
  }
}

function again() {
  clearTimeout(timer);
  timer = setTimeout(check, streaming ? EVERY_BESIDE_STREAM : EVERY);
}

async function told(changes) {
  if (moving) return; // that table is newer, or the stream begins again from what it has
  await apply(changes);
  notice("offline", "");
  again();
}

function follow() {
  const { base, path } = main.dataset;
  const mine = listen({
    address: () => stream(base, { path: path + new URL(withoutAt()).search, first: rows()[0]?.id ?? "", etag }),
    on: { changes: told, changed: check },
    state: (up) => { streaming = up; again(); },
  });
  onSwap(mine.restart);
}

function forget() {
  etag = "";
  version = 0;
  again();
}

export function start() {
  problem = main.dataset.problem ?? "";
  onSwap(() => { standing = new Map(); version = 0; etag = main.dataset.etag; problem = main.dataset.problem ?? ""; });
  document.addEventListener("visibilitychange", () => { if (!document.hidden) check(); });
  phone.addEventListener("change", () => { if (phone.matches) for (const row of rows()) setText(row.querySelector(".su"), sums(row)); });
  setInterval(() => { if (!document.hidden) showState(); }, 5000);
  // At once as well: what the browser had kept may be older than what it shows.
  timer = setTimeout(check, 1000);
  follow();
}
