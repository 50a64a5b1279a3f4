// A log's page: the line that is meant, search, steps between errors or matches. The log may be far longer than what is
// on the page, so what is not here is opened by its address.
import * as keys from "./keys.js";

const main = document.querySelector("main.logpage[data-lines]");
const field = document.getElementById("find");
const said = document.getElementById("found");
const errors = (main?.dataset.errors ?? "").split(" ").filter(Boolean).map(Number);
let matches = [];
let at = 0; // the line that is meant
let asked = null;

const element = (number) => document.getElementById(`L${number}`);
const wanted = () => Number(/^#L([0-9]{1,9})$/.exec(location.hash)?.[1] ?? 0);

// Shows a line; `false` if it is not on the page.
function mark(number, { scroll = true } = {}) {
  const line = element(number);
  document.querySelector(".l.at")?.classList.remove("at");
  if (!line) return false;
  at = number;
  const fold = line.closest("details");
  if (fold) fold.open = true;
  line.classList.add("at");
  if (scroll) line.scrollIntoView({ block: "center" });
  return true;
}

function go(number) {
  if (number === wanted() && mark(number)) return;
  if (element(number)) { location.hash = `L${number}`; return; }
  const query = matches.length ? `&q=${encodeURIComponent(field.value)}` : "";
  location.assign(`?line=${number}${query}#L${number}`);
}

function paint() {
  for (const line of document.querySelectorAll(".l.hit")) line.classList.remove("hit");
  for (const number of matches) element(number)?.classList.add("hit");
  document.getElementById("steps").textContent = matches.length ? "match" : "error line";
}

function tell() {
  if (!field.value) said.value = "";
  else if (!matches.length) said.value = "Not found";
  else {
    const place = matches.indexOf(at) + 1;
    said.value = `${place ? `${place} of ` : ""}${matches.length}${main.dataset.more ? " or more" : ""}`;
  }
}

async function search({ jump = true } = {}) {
  asked?.abort();
  asked = new AbortController();
  const query = field.value;
  matches = [];
  if (query) {
    said.value = "Searching…";
    try {
      const response = await fetch(`${main.dataset.find}?q=${encodeURIComponent(query)}`, { signal: asked.signal });
      const found = await response.json();
      matches = found.lines;
      main.dataset.more = found.more ? "1" : "";
    } catch (error) {
      if (error.name !== "AbortError") said.value = "The search failed";
      return;
    }
  }
  document.querySelector(".hitlist")?.remove();
  if (jump && matches.length) step(1, { from: at - 1 });
  paint();
  tell();
}

function step(by, { from = at } = {}) {
  const list = matches.length ? matches : errors;
  if (!list.length) return false;
  const next = by > 0 ? list.find((number) => number > from) ?? list[0] : list.findLast((number) => number < from) ?? list.at(-1);
  go(next);
}

function start() {
  const first = wanted() || Number(main.dataset.target) || 0;
  if (wanted() && !element(wanted()) && wanted() <= Number(main.dataset.lines)) {
    location.replace(`?line=${wanted()}#L${wanted()}`);
    return;
  }
  if (!mark(first)) document.querySelector(".loglines .l:last-of-type")?.scrollIntoView({ block: "center" });
  addEventListener("hashchange", () => { if (!mark(wanted())) go(wanted()); tell(); });
  keys.on("/", () => { field.focus(); field.select(); });
  keys.on("n", (event) => step(event.shiftKey ? -1 : 1));
  keys.on("p", () => step(-1));
  field.form.addEventListener("submit", (event) => { event.preventDefault(); field.blur(); search(); });
  field.addEventListener("search", () => search({ jump: false }));
  document.getElementById("copy").addEventListener("click", async () => {
    const link = new URL(location.href);
    link.search = "";
    link.hash = at ? `L${at}` : "";
    await navigator.clipboard.writeText(link.href);
    document.getElementById("say").textContent = "Link copied";
    said.value = "Link copied";
  });
  document.body.addEventListener("htmx:afterSettle", paint);
  if (field.value) search({ jump: false });
}

keys.on("u", () => document.getElementById("up")?.click());
if (main) start();
