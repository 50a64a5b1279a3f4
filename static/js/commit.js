// A commit's page, and a pull request's: from failing job to failing job by key, to its log and to its column's history.
import "./frame.js"; // ages, menus, and the keys that every page has
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
