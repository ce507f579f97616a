// The training monitor: keeps what the server sends, draws it, remembers what is ticked.

import { byId, throttle } from "./format.js";
import { Charts } from "./monitor/charts.js";
import { Detail } from "./monitor/detail.js";
import { Table } from "./monitor/table.js";

// Distinct for people who see red and green alike, in both themes; then they repeat.
const COLOURS = ["#4f6bed", "#e8710a", "#12a47f", "#d6336c", "#9b5de5", "#b08900", "#1698c7", "#e05d44", "#6a994e", "#8d6e63"];
// Runs that are drawn without having been ticked.
const FIRST = 6;

const state = {
  runs: new Map(), roots: [], visible: new Set(), drawn: new Set(), open: null, chosen: false,
  colours: new Map(), offset: 0,
  now() { return Date.now() / 1000 + this.offset; },
  colour(id) {
    if (!this.colours.has(id)) this.colours.set(id, COLOURS[this.colours.size % COLOURS.length]);
    return this.colours.get(id);
  },
};

const charts = new Charts(state);
const detail = new Detail(state, () => open(null));
const table = new Table(state, { draw: tick, open });
const redraw = throttle(250, () => { table.draw(); charts.draw(); });

function tick(id, drawn) {
  state.chosen = true;
  if (drawn) state.drawn.add(id); else state.drawn.delete(id);
  table.draw();
  charts.load([id]);
}

function open(id) {
  const before = state.open;
  state.open = id;
  history.replaceState(null, "", id ? `#${encodeURIComponent(id)}` : location.pathname);
  table.draw();
  detail.show(id).then(() => {
    if (id) {
      byId("detail").scrollIntoView({ block: "nearest" });
      byId("detail-title")?.focus({ preventScroll: true });
    } else if (before) document.querySelector(`tr[data-run="${CSS.escape(before)}"] button`)?.focus();
  });
}

// Until something is ticked: the runs that reported last.
function chooseFirst() {
  if (state.chosen) return;
  const newest = [...state.runs.values()].sort((a, b) => (b.reported_s ?? 0) - (a.reported_s ?? 0)).slice(0, FIRST);
  for (const run of newest) if (state.drawn.size < FIRST) state.drawn.add(run.id);
}

function hear(message) {
  state.offset = message.now_s - Date.now() / 1000;
  state.roots = message.roots;
  byId("where").textContent = message.roots.join(", ");
  const all = new Set(message.all);
  for (const id of state.runs.keys()) if (!all.has(id)) { state.runs.delete(id); state.drawn.delete(id); }
  for (const run of message.runs) state.runs.set(run.id, run);
  chooseFirst();
  table.draw();
  for (const run of message.runs) if (state.drawn.has(run.id)) charts.changed(run.id);
  charts.draw();
  if (state.open) detail.show(state.open);
}

function live(kind, text) {
  const pill = byId("live");
  pill.className = `pill ${kind}`;
  if (pill.textContent !== text) pill.textContent = text;
}

const events = new EventSource("/api/events");
events.addEventListener("runs", (event) => { live("good", "Live"); hear(JSON.parse(event.data)); });
events.addEventListener("error", () => live("warn", "Reconnecting"));
byId("filter").addEventListener("input", () => charts.load(charts.drawn()));
// Ages grow while nothing is heard.
setInterval(redraw, 5000);
if (location.hash.length > 1) state.open = decodeURIComponent(location.hash.slice(1));
