// The plots: what a point says stands below its plot, and arrows go from point to point; one tab stop a plot.
import "./frame.js"; // ages, menus, and the keys that every page has

for (const figure of document.querySelectorAll("figure.panel")) {
  const links = [...figure.querySelectorAll(".plot a")];
  const readout = figure.querySelector(".readout");
  if (!links.length || !readout) continue;
  const about = readout.firstElementChild;
  const middle = (link) => {
    const box = link.getBoundingClientRect();
    return box.left + box.width / 2;
  };
  const says = (link) => link.querySelector("title").textContent;
  links.sort((one, other) => middle(one) - middle(other));
  for (const link of links) link.setAttribute("aria-label", says(link));

  const show = (link) => (link ? (readout.textContent = says(link)) : readout.replaceChildren(about));
  const stop = (link) => {
    for (const one of links) one.setAttribute("tabindex", one === link ? "0" : "-1");
  };
  stop(links[links.length - 1]);

  figure.addEventListener("focusin", (event) => {
    const link = event.target.closest(".plot a");
    if (!link) return;
    stop(link);
    show(link);
  });
  figure.addEventListener("focusout", () => show(null));
  figure.addEventListener("pointerover", (event) => {
    const link = event.target.closest(".plot a");
    if (link) show(link);
  });
  figure.addEventListener("pointerleave", () => show(figure.contains(document.activeElement) ? document.activeElement.closest(".plot a") : null));
  figure.addEventListener("keydown", (event) => {
    const at = links.indexOf(document.activeElement);
    const by = { ArrowLeft: -1, ArrowRight: 1, Home: -links.length, End: links.length }[event.key];
    if (at < 0 || !by || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    links[Math.min(Math.max(at + by, 0), links.length - 1)].focus();
  });
}
