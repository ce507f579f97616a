// The grid of runs: columns, sorting, filtering, which runs are drawn.

import { byId, count, duration, element, number, short } from "../format.js";
import { parse } from "./filter.js";

const STATES = {
  starting: ["", "Starting"],
  running: ["good", "Running"],
  silent: ["bad", "Silent"],
  finished: ["accent", "Finished"],
  interrupted: ["warn", "Stopped"],
  diverged: ["bad", "Diverged"],
  broken: ["bad", "Unreadable"],
};

// Every column: key, title, value for sorting and filtering, how it is written.
const COLUMNS = [
  { key: "name", title: "Run" },
  { key: "state", title: "State" },
  { key: "age", title: "Last report", right: true },
  { key: "dataset", title: "Data" },
  { key: "model", title: "Model" },
  { key: "epoch", title: "Epoch", right: true },
  { key: "iteration", title: "Iteration", right: true },
  { key: "val", title: "Val ppl, best", right: true, value: (run) => run.best_val_ppl },
  { key: "smooth", title: "Train ppl, smooth", right: true, value: (run) => run.smooth_ppl },
  { key: "train", title: "Train ppl", right: true, value: (run) => run.train_ppl },
  { key: "s/batch", title: "s / batch", right: true, value: (run) => run.seconds_per_batch },
  { key: "captions/s", title: "Captions / s", right: true, value: (run) => run.captions_per_second },
  { key: "eta", title: "Time left", right: true, value: (run) => run.eta_s },
];

export class Table {
  constructor(state, actions) {
    this.state = state;
    this.actions = actions;
    this.sort = { key: "age", down: false };
    this.rows = new Map();
    this.heads = "";
    byId("filter").addEventListener("input", () => this.draw());
    for (const radio of document.querySelectorAll('input[name="parameters"]')) {
      radio.addEventListener("change", () => this.draw());
    }
  }

  value(run, key) {
    if (key === "age") return run.reported_s === null ? null : this.state.now() - run.reported_s;
    const column = COLUMNS.find((c) => c.key === key);
    if (column) return column.value ? column.value(run) : run[column.key];
    if (key in run.scores) return run.scores[key];
    return run.params[key];
  }

  // Scores that any run has; parameters by what was chosen.
  columns(runs) {
    const scores = [...new Set(runs.flatMap((run) => Object.keys(run.scores)))].sort();
    const which = document.querySelector('input[name="parameters"]:checked').value;
    const names = [...new Set(runs.flatMap((run) => Object.keys(run.params)))].sort();
    // A file that can't be read has no parameters, and would make all of them differ.
    const told = runs.filter((run) => Object.keys(run.params).length);
    const different = (name) => new Set(told.map((run) => JSON.stringify(run.params[name]))).size > 1;
    const shown = which === "none" ? [] : names.filter((name) => which === "all" || different(name));
    const at = COLUMNS.findIndex((column) => column.key === "smooth");
    const columns = COLUMNS.toSpliced(at, 0, ...scores.map((key) => ({ key, title: `${key.toUpperCase()}, best`, right: true, score: true })));
    if (runs.some((run) => run.problem)) columns.splice(2, 0, { key: "problem", title: "Problem" });
    return [...columns, ...shown.map((key) => ({ key, title: key, parameter: true }))];
  }

  draw() {
    const all = [...this.state.runs.values()];
    const columns = this.columns(all);
    const names = new Set([...columns.map((c) => c.key), ...all.flatMap((run) => Object.keys(run.params))]);
    const { tests, problem } = parse(byId("filter").value, (run, key) => this.value(run, key), names);
    byId("filter-problem").hidden = !problem;
    byId("filter-problem").textContent = problem ?? "";
    const shown = all.filter((run) => (tests ?? []).every((test) => test(run)));
    this.state.visible = new Set(shown.map((run) => run.id));
    this.order(shown);
    this.head(columns);
    this.body(columns, shown);
    this.say(all, shown);
  }

  order(runs) {
    const { key, down } = this.sort;
    const side = down ? -1 : 1;
    const missing = (value) => value === null || value === undefined;
    runs.sort((a, b) => {
      const [x, y] = [this.value(a, key), this.value(b, key)];
      // What isn't known stands last in either direction.
      if (missing(x) || missing(y)) return missing(x) - missing(y) || a.id.localeCompare(b.id);
      const order = typeof x === "number" && typeof y === "number" ? x - y : String(x).localeCompare(String(y), "en", { numeric: true });
      return side * order || a.id.localeCompare(b.id, "en", { numeric: true });
    });
  }

  head(columns) {
    const heads = JSON.stringify([columns.map((c) => c.key), this.sort]);
    if (heads === this.heads) return;
    this.heads = heads;
    const focused = document.activeElement?.dataset?.sort;
    const cells = columns.map((column) => {
      const sorted = column.key === this.sort.key ? (this.sort.down ? "descending" : "ascending") : null;
      const button = element("button", { type: "button", "data-sort": column.key, onclick: () => this.sortBy(column.key) }, column.title);
      const kind = [column.right && "right", column.parameter && "parameter"].filter(Boolean).join(" ");
      return element("th", { scope: "col", class: kind || null, "aria-sort": sorted }, button);
    });
    document.querySelector("#runs thead").replaceChildren(element("tr", {}, ...cells));
    if (focused) document.querySelector(`[data-sort="${CSS.escape(focused)}"]`)?.focus();
  }

  sortBy(key) {
    this.sort = { key, down: this.sort.key === key && !this.sort.down };
    this.draw();
  }

  // Rows are kept and only cells that changed are written: focus and selection stay where they are.
  body(columns, runs) {
    const body = document.querySelector("#runs tbody");
    const lowest = Math.min(...runs.map((run) => run.best_val_ppl ?? Infinity));
    const kept = new Set(runs.map((run) => run.id));
    for (const [id, row] of this.rows) if (!kept.has(id)) { row.remove(); this.rows.delete(id); }
    runs.forEach((run, at) => {
      let row = this.rows.get(run.id);
      if (!row) this.rows.set(run.id, (row = this.newRow(run)));
      if (body.children[at] !== row) body.insertBefore(row, body.children[at] ?? null);
      row.setAttribute("aria-current", String(this.state.open === run.id));
      this.updateHead(row, run);
      columns.slice(1).forEach((column, c) => {
        let cell = row.children[c + 1];
        if (!cell) row.append((cell = document.createElement("td")));
        this.fill(cell, column, run, lowest);
      });
      while (row.children.length > columns.length) row.lastChild.remove();
    });
  }

  newRow(run) {
    const tick = element("input", { type: "checkbox", "aria-label": `Draw ${run.name}`, onchange: () => this.actions.draw(run.id, tick.checked) });
    const open = element("button", { type: "button", title: run.id, onclick: () => this.actions.open(run.id) }, run.name);
    const folder = run.id.split("/").slice(0, -1).join("/");
    return element("tr", { "data-run": run.id },
      element("th", { scope: "row" }, element("div", { class: "run" }, tick, element("i", { class: "swatch" }), element("div", {}, open, element("small", {}, folder)))));
  }

  updateHead(row, run) {
    const drawn = this.state.drawn.has(run.id);
    row.querySelector("input").checked = drawn;
    const swatch = row.querySelector(".swatch");
    swatch.style.setProperty("--colour", drawn ? this.state.colour(run.id) : "transparent");
  }

  fill(cell, column, run, lowest) {
    const { key } = column;
    const right = column.right || (column.parameter && typeof run.params[key] === "number");
    let kind = right ? "right" : "";
    let text;
    if (key === "age") {
      const age = this.value(run, "age");
      text = age === null ? "–" : `${duration(age)} ago`;
      kind += " age";
      const ended = ["finished", "interrupted", "diverged"].includes(run.state);
      cell.style.setProperty("--age", ended || age === null ? "0" : String(Math.min(1, age / 900).toFixed(2)));
    } else if (key === "state") {
      const [colour, title] = STATES[run.state];
      text = title;
      if (cell.dataset.text !== text) cell.replaceChildren(element("span", { class: `pill ${colour}` }, title));
      cell.dataset.text = text;
      cell.className = kind;
      return;
    } else if (key === "iteration") {
      const total = run.total_iterations;
      text = run.iteration === null ? "–" : `${count(run.iteration)} / ${count(total)}`;
      if (cell.dataset.text !== text) {
        const part = total ? Math.min(100, (100 * run.iteration) / total) : 0;
        const bar = element("span", { class: "progress" }, element("i", { style: { "--part": `${part.toFixed(1)}%` } }));
        cell.replaceChildren(text, total ? bar : "");
      }
      cell.dataset.text = text;
      cell.className = kind;
      return;
    } else if (key === "epoch") text = run.epoch === null ? "–" : `${number(run.epoch)} / ${count(run.max_epochs)}`;
    else if (key === "eta") text = duration(run.eta_s);
    else if (key === "s/batch") text = short(run.seconds_per_batch);
    else if (key === "captions/s") text = count(run.captions_per_second);
    else if (column.score) text = number(run.scores[key], 3);
    else if (column.parameter) text = parameter(run.params[key]);
    else if (["val", "smooth", "train"].includes(key)) text = number(this.value(run, key));
    else text = this.value(run, key) ?? "–";
    if (key === "problem") { kind = "problem"; text = run.problem ?? ""; }
    if (key === "val" && run.best_val_ppl !== null && run.best_val_ppl === lowest) kind += " best";
    cell.className = kind;
    if (cell.dataset.text === text) return;
    cell.dataset.text = text;
    cell.textContent = text;
  }

  say(all, shown) {
    const counts = {};
    for (const run of all) counts[run.state] = (counts[run.state] ?? 0) + 1;
    const parts = Object.keys(STATES).filter((s) => counts[s]).map((s) => `${counts[s]} ${STATES[s][1].toLowerCase()}`);
    const some = shown.length === all.length ? "" : ` · ${shown.length} of ${all.length} shown`;
    const text = parts.join(", ") + some;
    // A status that is written again is read out again.
    if (byId("summary").textContent !== text) byId("summary").textContent = text;
    const empty = byId("empty");
    empty.hidden = shown.length > 0;
    byId("runs").hidden = shown.length === 0;
    if (shown.length) return;
    const [title, more] = all.length
      ? ["No run matches the filter", "Empty the filter to see all of them."]
      : ["No runs yet", `Waiting for runs in ${this.state.roots.join(", ")}. New ones appear here by themselves.`];
    empty.replaceChildren(element("h2", {}, title), element("p", {}, more));
  }
}

export function parameter(value) {
  if (value === undefined || value === null) return "–";
  if (typeof value === "number") return Number.isInteger(value) ? String(value) : short(value);
  return typeof value === "string" ? value : JSON.stringify(value);
}
