// The grid's page.
import * as frame from "./frame.js";
import * as brackets from "./brackets.js";
import * as cellKeys from "./cell_keys.js";
import * as cursor from "./cursor.js";
import * as popover from "./popover.js";
import * as refresh from "./refresh.js";
import { main } from "./table.js";
import * as view from "./view.js";

const arrived = () => document.documentElement.classList.remove("arriving");
// After the first paint; at once if the address points at a commit, which may be further down.
if (main.dataset.at || location.hash) arrived();
else requestAnimationFrame(() => setTimeout(arrived));

popover.start(); // before the frame: of two things that Esc could close, the popover is on top
frame.start();
cursor.start();
view.start();
brackets.start();
cellKeys.start();
refresh.onApplied((changes) => brackets.apply(changes.breaks));
refresh.start();
