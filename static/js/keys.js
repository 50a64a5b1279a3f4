// Single-letter keys: off while typing, and for whoever switched them off. That switch is the only thing remembered.

const STORE = "arborist-keys";
const handlers = new Map();

export const typing = (target) => target.closest?.("input:not([type=checkbox]), textarea, select, [contenteditable]") !== null;

function stored() {
  try { return localStorage.getItem(STORE); } catch { return null; } // storage may be forbidden
}
export const enabled = () => stored() !== "off";

function show() {
  document.documentElement.classList.toggle("keysoff", !enabled());
}

// `run` gets the event, and returns false to let the browser have the key after all.
export function on(key, run, { letter = true } = {}) {
  handlers.set(key, { run, letter });
}

export function start() {
  show();
  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || typing(event.target)) return;
    if (document.querySelector("dialog[open]")) return;
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    const handler = handlers.get(key);
    if (!handler || (handler.letter && !enabled())) return;
    if (handler.run(event) !== false) event.preventDefault();
  });
  const dialog = document.getElementById("keys-dialog");
  if (!dialog) return;
  const box = document.getElementById("keys-on");
  const open = () => { box.checked = enabled(); dialog.showModal(); };
  on("?", open);
  document.getElementById("all-keys").addEventListener("click", open);
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
  box.addEventListener("change", () => {
    try { localStorage.setItem(STORE, box.checked ? "on" : "off"); } catch { /* then only until the page is left */ }
    show();
  });
}
