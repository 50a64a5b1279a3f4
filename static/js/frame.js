// What every page with a bar does: ages, pickers, the jump field, keys between commits.
import * as acting from "./acting.js";
import * as age from "./age.js";
import * as keys from "./keys.js";

const openMenu = () => document.querySelector("details.menu[open]");

export function start() {
  age.start();
  keys.start();
  acting.start();
  keys.on("/", () => document.getElementById("goto")?.focus());
  document.addEventListener("click", (event) => {
    for (const menu of document.querySelectorAll("details.menu[open]")) if (!menu.contains(event.target)) menu.open = false;
  });
  // Esc closes the topmost thing and never empties a field.
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || event.defaultPrevented) return;
    const menu = openMenu();
    if (menu) {
      menu.open = false;
      menu.querySelector("summary").focus();
      event.preventDefault();
    } else if (keys.typing(event.target)) {
      event.target.blur();
      event.preventDefault();
    }
  }, true);
  const follow = (selector) => () => { const link = document.querySelector(selector); if (!link) return false; link.click(); };
  keys.on("j", follow(".crumb .step[rel=next]"));
  keys.on("k", follow(".crumb .step[rel=prev]"));
  keys.on("u", follow(".crumb > a"));
}

if (!document.body.classList.contains("hud")) start();
