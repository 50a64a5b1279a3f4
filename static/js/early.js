// Before the page is parsed. A thousand columns take a second to lay out, so the first screen is painted alone, and `hud.js`
// lets in the rest right after. Without script all of it is there from the start.
document.documentElement.classList.add("scripted", "arriving");
