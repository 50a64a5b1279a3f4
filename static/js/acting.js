// What people press, and what becomes of it: said in the key bar, with an Undo where it can be undone. Whoever may not
// reads who may; nothing is refused in silence.
import * as keys from "./keys.js";

const LASTS = 15000;
const AGAIN = 6000; // how long a question waits for the same key

let region = null; // where it is said
let timer = 0;
let lasts = 0;
let asked = null; // { key, until }

function make() {
  let bar = document.querySelector("footer.keys");
  if (!bar) {
    bar = document.createElement("footer");
    bar.className = "keys alone";
    document.body.append(bar);
  }
  region = document.createElement("span");
  region.setAttribute("role", "status");
  region.id = "said";
  bar.prepend(region);
  for (const kind of ["pointerenter", "focusin"]) region.addEventListener(kind, () => clearTimeout(timer));
  for (const kind of ["pointerleave", "focusout"]) region.addEventListener(kind, () => wait());
}

function wait() {
  clearTimeout(timer);
  timer = setTimeout(hush, lasts);
}

export function hush() {
  clearTimeout(timer);
  asked = null;
  region?.replaceChildren();
  if (region) region.className = "";
}

const button = (words, run) => {
  const made = document.createElement("button");
  made.type = "button";
  made.className = "btn sm";
  made.append(words);
  made.addEventListener("click", run);
  return made;
};

const link = (words, href) => {
  const made = document.createElement("a");
  made.className = "link";
  made.href = href;
  made.textContent = words;
  return made;
};

// `more`: what stands after the words.
export function say(words, { more = [], late = false, time = LASTS } = {}) {
  if (!region) make();
  asked = null;
  region.className = late ? "undo late" : "undo";
  const text = document.createElement("bdi");
  text.textContent = words;
  region.replaceChildren(text, ...more.flatMap((one) => [" ", one]));
  lasts = time;
  wait();
}

const signInAddress = () => `/accounts/login/?next=${encodeURIComponent(location.pathname + location.search)}`;

function signIn(words = "Sign in to do this.", address = signInAddress()) {
  say(words, { late: true, more: [link("Sign in", address)] });
  return false;
}

const token = () => document.querySelector("input[name=csrfmiddlewaretoken]")?.value;
const SCRIPT = { "X-Arborist-Script": "1" };

function tell(told) {
  if (told.error) {
    if (told.sign_in) signIn(told.error, told.sign_in);
    else say(told.error, { late: true });
    return false;
  }
  const more = [];
  if (told.undo) {
    const undo = button("Undo", () => (told.write ? cancel(told.undo) : takeBack(told.undo)));
    const key = document.createElement("kbd");
    key.textContent = "Z";
    undo.append(" ", key);
    undo.dataset.undo = Date.now();
    if (told.seconds) setTimeout(() => undo.remove(), told.seconds * 1000);
    more.push(undo);
  }
  if (told.write) more.push(link("What became of it", told.write));
  say(told.words, { more, late: !told.done });
  return told.done;
}

// Do it; returns whether it was done. `fields`: an object, or the data of a form.
export async function send(url, fields = {}) {
  const csrf = token();
  if (!csrf) return signIn();
  const slow = setTimeout(() => say("Saving…"), 400);
  try {
    const response = await fetch(url, { method: "POST", headers: { ...SCRIPT, "X-CSRFToken": csrf }, body: new URLSearchParams(fields) });
    return tell(await response.json());
  } catch {
    say("Not saved: the server did not answer. Your choice is kept.", { late: true, more: [button("Try again", () => send(url, fields))] });
    return false;
  } finally {
    clearTimeout(slow);
  }
}

function takeBack(address) {
  const [url, query = ""] = address.split("?");
  return send(url, new URLSearchParams(query));
}

// A write that waits is undone by its own page's fragment, which says whether that was in time.
async function cancel(url) {
  try {
    const response = await fetch(url, { method: "POST", headers: { "HX-Request": "true", "X-CSRFToken": token() } });
    const fate = new DOMParser().parseFromString(await response.text(), "text/html");
    const undone = fate.querySelector(".tag")?.textContent === "cancelled";
    say(undone ? "Undone. It was not sent." : fate.querySelector("[role=alert]")?.textContent ?? "Too late: it has been sent.", { late: !undone });
  } catch {
    say("Not undone: the server did not answer.", { late: true, more: [button("Try again", () => cancel(url))] });
  }
}

// To a page that not everybody may see; whoever may not stays and reads why.
export async function go(url) {
  try {
    const response = await fetch(url, { headers: SCRIPT, redirect: "manual", cache: "no-store" });
    if (response.headers.get("Content-Type")?.startsWith("application/json")) return tell(await response.json());
  } catch { /* the browser says best what is wrong */ }
  location.assign(url);
}

// What others will see is asked first: the same key again does it.
export function twice(key, words, run) {
  const now = asked;
  if (now?.key === key && now.words === words) {
    hush();
    return run();
  }
  const press = document.createElement("kbd");
  press.textContent = key.toUpperCase();
  say(words, { time: AGAIN, more: [press, "again, or", button("Yes", () => { hush(); run(); })] });
  asked = { key, words };
}

// The newest thing on the page that can be undone.
function undo() {
  const age = (one) => Number(one.dataset.undo) || Date.parse(one.closest(".fate")?.querySelector("time")?.dateTime) || 0;
  const all = [...document.querySelectorAll("[data-undo], .fate form[action$='/cancel'] button")];
  const newest = all.filter((one) => one.checkVisibility()).sort((a, b) => age(b) - age(a))[0];
  if (newest) newest.click();
  else say("There is nothing to undo here.");
}

export function start() {
  make();
  keys.on("z", (event) => { if (!event.repeat) undo(); });
  // Forms whose answer belongs into the bar: the page stays as it is.
  document.addEventListener("submit", (event) => {
    if (!event.target.matches("form[data-said]") || event.defaultPrevented) return;
    event.preventDefault();
    send(event.target.action, new FormData(event.target, event.submitter));
  });
  // Script changes the address, so the one that was written into the page may be old.
  document.addEventListener("click", (event) => {
    const door = event.target.closest("a.account");
    if (door) door.href = signInAddress();
  });
}
