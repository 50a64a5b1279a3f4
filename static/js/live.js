// The server tells of changes by a stream of events. It is closed while nobody looks, and opened again when someone does; what
// happened meanwhile comes first then, for the page says what it has. Without streams a page goes on by asking.

const LONGEST = 60000;
const open = [];

// `address` gives the stream's address when it is opened; `on` has a function for each kind of event; `state` is told true when
// the stream has come up and false when it is gone.
export function listen({ address, on, state = () => {} }) {
  let source = null;
  let timer = 0;
  let failed = 0;
  let up = false;

  const say = (now) => { if (now !== up) { up = now; state(up); } };

  function close() {
    clearTimeout(timer);
    source?.close();
    source = null;
    say(false);
  }

  // Spread out, so that a thousand pages do not all come back in the same moment.
  function later() {
    close();
    failed += 1;
    const pause = Math.min(LONGEST, 1000 * 2 ** Math.min(failed, 6));
    timer = setTimeout(start, pause * (0.5 + Math.random()));
  }

  function start() {
    close();
    if (document.hidden || typeof EventSource === "undefined") return;
    const mine = source = new EventSource(address());
    mine.onopen = () => { failed = 0; say(true); };
    mine.onerror = () => { if (mine === source) later(); };
    for (const [name, run] of Object.entries(on)) {
      mine.addEventListener(name, (event) => { if (mine === source) run(JSON.parse(event.data), event.lastEventId); });
    }
  }

  const one = { close, restart: () => { failed = 0; start(); } };
  open.push(one);
  start();
  return one;
}

document.addEventListener("visibilitychange", () => {
  for (const one of open) if (document.hidden) one.close(); else one.restart();
});
addEventListener("pagehide", () => { for (const one of open) one.close(); });
addEventListener("pageshow", (event) => { if (event.persisted) for (const one of open) one.restart(); });

// The address of a page's stream. `first` is the commit at the top of a grid, `etag` what the page has.
export function stream(base, { path, first = "", etag = "" }) {
  return `${base}/live?${new URLSearchParams({ path, first, etag })}`;
}

// Pages that are asked for anew as a whole: <main data-live="/hud/owner/repo" data-version="17" hx-trigger="live" hx-get=…>.
const AT_MOST_EVERY = 2000;

function follow(main) {
  let version = main.dataset.version ?? "";
  let last = 0;
  let timer = 0;
  function fetchAnew() {
    last = Date.now();
    document.getElementById("main")?.dispatchEvent(new Event("live", { bubbles: true }));
  }
  listen({
    address: () => stream(main.dataset.live, { path: location.pathname + location.search, etag: version }),
    on: {
      changed: (said, id) => {
        version = id;
        clearTimeout(timer);
        timer = setTimeout(fetchAnew, Math.max(0, last + AT_MOST_EVERY - Date.now()));
      },
    },
  });
}

const whole = document.querySelector("main[data-live]");
if (whole) follow(whole);
