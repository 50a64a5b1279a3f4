// Ages in words, kept current on the page. The server says the same ones in hud/freshness.py.

export const LATE = 120;
export const STALLED = 600;

const since = (stamp) => Math.max(0, Math.floor((Date.now() - Date.parse(stamp)) / 1000));
const two = (number) => String(number).padStart(2, "0");

// “6m”, “2h 36m”, “3d 4h”: for a narrow column.
export function shortAge(seconds) {
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes}m`;
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return `${hours}h ${two(minutes % 60)}m`;
  const days = Math.floor(hours / 24);
  return hours < 240 ? `${days}d ${hours % 24}h` : `${days}d`;
}

// “9 s”, “4 min”, “2 h 36 min”, “3 d”.
export function longAge(seconds) {
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min`;
  return minutes < 1440 ? `${Math.floor(minutes / 60)} h ${minutes % 60} min` : `${Math.floor(minutes / 1440)} d`;
}

export const setText = (element, text) => {
  if (element && element.textContent !== text) element.textContent = text;
};

// What the state of the data is, judged by this computer's clock: it goes on telling when the server can't.
export function freshness(stamp) {
  if (!stamp) return { kind: "unread", words: "" };
  const age = since(stamp);
  if (age < LATE) return { kind: "live", words: "" };
  if (age < STALLED) return { kind: "late", words: `Last event ${longAge(age)} ago, checking GitHub.` };
  const day = age < 72000 ? "" : `${stamp.slice(0, 10)} `;
  return { kind: "stalled", words: `No events since ${day}${stamp.slice(11, 16)} UTC. Results below may be old.` };
}

export function tickChecked() {
  const time = document.getElementById("checked");
  const stamp = time?.getAttribute("datetime");
  if (!stamp) return;
  setText(time, `${longAge(since(stamp))} ago`);
  const dot = document.getElementById("fresh");
  const { kind } = freshness(stamp);
  if (!dot.classList.contains(kind)) dot.className = `fresh ${kind}`;
}

export function tickAges(root = document) {
  for (const time of root.querySelectorAll("time[datetime]:not(#checked)")) setText(time, shortAge(since(time.dateTime)));
}

export function start() {
  const all = () => !document.hidden && tickAges();
  setInterval(() => !document.hidden && tickChecked(), 1000);
  setInterval(all, 20000);
  document.addEventListener("visibilitychange", () => { if (!document.hidden) { tickChecked(); all(); } });
  tickChecked();
  all();
}
