// The results viewer. With a server the captions are at /api/results; in an exported file, in it.

import { byId, count, element, number } from "./format.js";
import { card, enlarged } from "./view/cards.js";

const PAGE = 36;

const state = { files: [], pairs: [], shown: [], drawn: 0, words: [], random: new Map(), open: 0 };

async function results() {
  const inside = byId("data");
  if (inside) return JSON.parse(inside.textContent);
  const answer = await fetch("/api/results");
  if (!answer.ok) throw new Error(`the server answered ${answer.status}`);
  const files = await answer.json();
  files.forEach((file, f) => file.items.forEach((item, n) => { item.src = `/api/picture?file=${f}&n=${n}`; }));
  return files;
}

// Two files are compared on the pictures that both have.
function pair(files) {
  const [first, second] = files;
  if (!second) return first.items.map((item, at) => ({ first: item, at }));
  const other = new Map(second.items.map((item) => [item.key, item]));
  return first.items.flatMap((item, at) => {
    const twin = other.get(item.key);
    if (!twin) return [];
    const known = item.references.length ? item : { ...item, references: twin.references };
    return [{ first: known, second: twin, at }];
  });
}

// What can be sorted by: every score, the log probability, what changed, the length.
function orders() {
  const scores = state.files[0].scores.map(([name]) => name).filter((name) => state.pairs.some((p) => name in p.first.scores));
  const out = [];
  if (state.files.length > 1) {
    for (const name of scores.toReversed()) out.push([`change:${name}`, `${name}, B − A`, (p) => minus(p.second.scores[name], p.first.scores[name])]);
    out.push(["change:log_prob", "Log probability, B − A", (p) => minus(p.second.log_prob, p.first.log_prob)]);
  }
  for (const name of scores.toReversed()) out.push([name, name, (p) => p.first.scores[name]]);
  out.push(["log_prob", "Log probability", (p) => p.first.log_prob]);
  out.push(["length", "Words in the caption", (p) => p.first.caption.split(" ").length]);
  return out.filter(([, , value]) => state.pairs.some((p) => Number.isFinite(value(p))));
}

const minus = (a, b) => (Number.isFinite(a) && Number.isFinite(b) ? a - b : undefined);

function choose(way) {
  if (way === "random") for (const p of state.pairs) state.random.set(p, Math.random());
  for (const id of ["best", "worst", "random"]) byId(id).setAttribute("aria-pressed", String(id === way));
  select();
}

function select() {
  state.words = byId("search").value.toLowerCase().split(/\s+/).filter(Boolean);
  const references = byId("references").checked;
  const text = (p) => [p.first.caption, p.second?.caption, ...(references ? p.first.references : [])].join("\n").toLowerCase();
  const found = state.pairs.filter((p) => state.words.every((word) => text(p).includes(word)));
  const pressed = (id) => byId(id).getAttribute("aria-pressed") === "true";
  const value = orders().find(([key]) => key === byId("sort").value)?.[2];
  if (pressed("random")) found.sort((a, b) => state.random.get(a) - state.random.get(b));
  else if (value) {
    const side = pressed("worst") ? 1 : -1;
    // What has no number stands last in either direction.
    const number = (p) => (Number.isFinite(value(p)) ? value(p) : -side * Infinity);
    found.sort((a, b) => (number(a) === number(b) ? a.at - b.at : side * (number(a) - number(b))));
  }
  state.shown = found;
  state.drawn = 0;
  byId("cards").replaceChildren();
  byId("empty").hidden = found.length > 0;
  const all = found.length === state.pairs.length;
  byId("count").textContent = all ? `${count(found.length)} pictures` : `${count(found.length)} of ${count(state.pairs.length)} pictures`;
  more();
}

function more() {
  const next = state.shown.slice(state.drawn, state.drawn + PAGE);
  byId("cards").append(...next.map((p, i) => { const at = state.drawn + i; return card(p, state.words, () => enlarge(at)); }));
  state.drawn += next.length;
  byId("more").hidden = state.drawn >= state.shown.length;
  // Watched anew, the end of the page is reported again where it is still in sight.
  const end = byId("more").parentElement;
  sight.unobserve(end);
  sight.observe(end);
}

const sight = new IntersectionObserver((seen) => {
  if (seen.some((s) => s.isIntersecting) && !byId("more").hidden) more();
}, { rootMargin: "600px" });

function enlarge(at) {
  if (at < 0 || at >= state.shown.length) return;
  state.open = at;
  const dialog = byId("large");
  const step = (by) => enlarge(state.open + by);
  const label = document.activeElement?.textContent;
  dialog.replaceChildren(...enlarged(state.shown[at], state.words, step, () => dialog.close()));
  if (!dialog.open) dialog.showModal();
  // Who steps with the keyboard keeps stepping.
  const buttons = [...dialog.querySelectorAll(".steps button")];
  (buttons.find((b) => b.textContent === label) ?? buttons[1]).focus();
}

function head() {
  const compared = state.files.length > 1;
  byId("files").textContent = state.files.map((file) => file.name.split("/").pop()).join(" and ");
  const cards = state.files.map((file, f) => {
    const scores = file.scores.map(([name, value]) => [name, number(value, 3)]);
    if (file.perplexity !== null) scores.push(["Perplexity", number(file.perplexity)]);
    const probs = file.items.map((item) => item.log_prob).filter(Number.isFinite);
    if (probs.length) scores.push(["Mean log p", number(probs.reduce((a, b) => a + b, 0) / probs.length)]);
    scores.unshift(["Pictures", count(file.items.length)]);
    const letter = compared ? element("span", { class: `letter ${f ? "b" : "a"}` }, f ? "B" : "A") : "";
    const facts = scores.map(([name, value]) => element("div", {}, element("dt", {}, name), element("dd", {}, value)));
    return element("div", { class: "card file" }, element("h2", {}, letter, file.name), element("dl", {}, ...facts));
  });
  byId("scores").replaceChildren(...cards);
}

async function start() {
  try { state.files = await results(); } catch (error) {
    byId("problem").hidden = false;
    byId("problem").textContent = `The captions could not be loaded: ${error.message}.`;
    return;
  }
  state.pairs = pair(state.files);
  head();
  byId("in-references").hidden = !state.pairs.some((p) => p.first.references.length);
  const options = orders().map(([key, title]) => element("option", { value: key }, title));
  byId("sort").replaceChildren(element("option", { value: "" }, "Order of the file"), ...options);
  for (const id of ["best", "worst"]) byId(id).addEventListener("click", () => { if (!byId("sort").value) byId("sort").selectedIndex = 1; choose(id); });
  byId("random").addEventListener("click", () => choose("random"));
  for (const id of ["best", "worst"]) byId(id).disabled = options.length === 0;
  byId("sort").addEventListener("change", () => choose(byId("sort").value ? "best" : ""));
  byId("search").addEventListener("input", select);
  byId("references").addEventListener("change", select);
  byId("more").addEventListener("click", more);
  byId("large").addEventListener("keydown", (event) => {
    if (event.key === "ArrowRight") enlarge(state.open + 1);
    if (event.key === "ArrowLeft") enlarge(state.open - 1);
  });
  byId("large").addEventListener("click", (event) => { if (event.target === byId("large")) byId("large").close(); });
  byId("large").addEventListener("close", () => document.querySelectorAll(".picture")[state.open]?.focus());
  choose(state.files.length > 1 && options.length ? (byId("sort").selectedIndex = 1, "best") : "");
}

start();
