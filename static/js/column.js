// A column's history: from failure to failure by key.
import "./frame.js"; // ages, menus, and the keys that every page has
import * as keys from "./keys.js";

const failing = () => [...document.querySelectorAll(".strip [data-failing]")];

// J goes to older commits, K to newer ones, as everywhere; the strip's oldest commit stands first.
function step(by) {
  const all = failing();
  if (!all.length) return false;
  const at = all.indexOf(document.activeElement);
  const next = at < 0 ? all.length - 1 : Math.min(Math.max(at + by, 0), all.length - 1);
  all[next].focus();
}

keys.on("j", () => step(-1));
keys.on("k", () => step(1));
