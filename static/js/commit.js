// A commit's page, and a pull request's: from failing job to failing job by key, to its log and to its column's history.
import "./frame.js"; // ages, menus, and the keys that every page has
import * as acting from "./acting.js";
import * as keys from "./keys.js";

const jobs = () => [...document.querySelectorAll(".job.full, .grp li")];
const current = () => document.activeElement?.closest?.(".job.full, .grp li");

function step() {
  const all = jobs();
  if (!all.length) return false;
  const next = all[(all.indexOf(current()) + 1) % all.length];
  next.tabIndex = -1;
  next.focus({ preventScroll: true });
  next.scrollIntoView({ block: "nearest" });
}

// Of the job that the focus is in; else of the first.
const follow = (name) => () => {
  const job = current()?.dataset[name] ? current() : jobs().find((one) => one.dataset[name]);
  if (!job) return false;
  location.assign(job.dataset[name]);
};

keys.on("x", step);
keys.on("l", follow("log"));
keys.on("h", follow("history"));

// On a commit's page, not on a pull request's: what keys do about it, and about the job that the focus is in or the first.
const { commit } = document.getElementById("main").dataset;
const cell = (job) => job?.querySelector("a[href*='/cell/']");
function opinion() {
  const found = cell(current() ?? jobs()[0]);
  if (found) acting.go(`${found.pathname}/opinion`);
  else acting.say("No job failed here to say something of.", { late: true });
}
function rerun() {
  const found = cell(current() ?? jobs()[0]);
  if (found) acting.twice("r", `Re-run ${found.textContent} here?`, () => acting.send(`${found.pathname}/rerun`));
  else acting.say("No job failed here. The page of a job's cell runs it again.", { late: true });
}
if (commit) {
  for (const [key, run] of Object.entries({ v: () => acting.go(`${commit}/revert`), r: rerun, b: opinion })) keys.on(key, (event) => { if (!event.repeat) run(); });
}
