// The curves: uPlot, one chart a measure, all drawn runs in each, one cursor and one zoom for all.

import { byId, element, short, throttle } from "../format.js";

const POINTS = 800;

const CHARTS = [
  { title: "Loss", measure: "loss", digits: "nats per sentence" },
  { title: "Perplexity", measure: "smooth_ppl", evaluated: "ppl", digits: "line: training, dots: validation" },
  { title: "Caption scores", evaluated: "score", digits: "on the validation split" },
  { title: "Learning rate", measure: "learning_rate", digits: "" },
];

// An average that forgets, without its pull towards 0 at the beginning; gaps stay gaps.
export function smooth(values, weight) {
  let sum = 0;
  let norm = 0;
  return values.map((value) => {
    if (value === null || value === undefined) return value;
    sum = weight * sum + (1 - weight) * value;
    norm = weight * norm + (1 - weight);
    return sum / norm;
  });
}

export class Charts {
  constructor(state) {
    this.state = state;
    this.data = new Map();
    this.zoom = null;
    this.panels = CHARTS.map((chart) => this.panel(chart));
    byId("charts").append(...this.panels.map((panel) => panel.card));
    byId("smoothing").addEventListener("input", (e) => {
      byId("smoothing-value").textContent = Number(e.target.value).toFixed(2);
      this.draw();
    });
    byId("log").addEventListener("change", () => this.rebuild());
    for (const radio of document.querySelectorAll('input[name="axis"]')) {
      radio.addEventListener("change", () => { this.zoom = null; this.rebuild(); this.load(this.drawn()); });
    }
    byId("unzoom").addEventListener("click", () => this.zoomTo(null));
    document.addEventListener("themechange", () => this.rebuild());
    new ResizeObserver(throttle(100, () => this.resize())).observe(byId("charts"));
    this.stale = new Set();
    this.loadStale = throttle(700, () => { const ids = [...this.stale]; this.stale.clear(); this.load(ids); });
  }

  panel(chart) {
    const nothing = element("div", { class: "nothing" });
    const plot = element("div", { class: "plot", tabindex: "0", role: "img", onkeydown: (e) => this.key(e) });
    const tip = element("div", { class: "tip", hidden: true });
    const note = element("span", {}, chart.digits);
    const card = element("div", { class: "card chart" }, element("h3", {}, chart.title, note), plot, nothing, tip);
    return { ...chart, card, plot, nothing, tip, note, uplot: null, series: "" };
  }

  drawn() {
    return [...this.state.drawn].filter((id) => this.state.visible.has(id) && this.state.runs.has(id));
  }

  axis() { return document.querySelector('input[name="axis"]:checked').value; }

  // A run has new numbers.
  changed(id) { this.stale.add(id); this.loadStale(); }

  async load(ids) {
    await Promise.all(ids.filter((id) => this.state.drawn.has(id)).map(async (id) => {
      const query = new URLSearchParams({ run: id, points: POINTS });
      // Zoomed in, the stretch that is seen gets all the points.
      if (this.zoom && this.axis() === "iteration") {
        const [from, to] = this.zoom;
        const margin = to - from;
        query.set("from", Math.max(0, from - margin));
        query.set("to", to + margin);
      }
      try {
        const answer = await fetch(`/api/curves?${query}`);
        if (answer.ok) this.data.set(id, await answer.json());
      } catch { /* The stream reconnects by itself, and then this is asked again. */ }
    }));
    this.draw();
  }

  draw() {
    const ids = this.drawn().filter((id) => this.data.has(id));
    byId("curves").hidden = this.state.runs.size === 0;
    byId("shown").textContent = ids.length ? `${ids.length} of ${this.state.runs.size} runs` : "";
    byId("unzoom").disabled = !this.zoom;
    for (const panel of this.panels) this.drawPanel(panel, ids);
  }

  // Lines of a panel: label, colour, x, y, and how they are drawn.
  lines(panel, ids) {
    const axis = this.axis();
    const weight = Number(byId("smoothing").value);
    const lines = [];
    for (const id of ids) {
      const data = this.data.get(id);
      const colour = this.state.colour(id);
      const name = this.state.runs.get(id).name;
      const y = panel.measure ? data.measures[panel.measure] : null;
      if (y && y.some((v) => v !== null)) {
        const smoothed = weight > 0 && panel.measure !== "learning_rate";
        if (smoothed) lines.push({ x: data[axis], y, colour, faint: true });
        lines.push({ name, x: data[axis], y: smoothed ? smooth(y, weight) : y, colour });
      }
      const evaluations = data.evaluations;
      const x = evaluations.map((e) => e[axis]);
      if (panel.evaluated === "ppl" && evaluations.length) {
        lines.push({ name: `${name}, validation`, x, y: evaluations.map((e) => e.ppl), colour, dots: true });
      }
      if (panel.evaluated === "score") {
        const names = [...new Set(evaluations.flatMap((e) => Object.keys(e.scores)))].sort();
        names.forEach((score, n) => lines.push({
          name: `${name}, ${score.toUpperCase()}`, x, y: evaluations.map((e) => e.scores[score] ?? null), colour, dots: true, dash: n > 0,
        }));
      }
    }
    const positive = byId("log").checked;
    for (const line of lines) if (positive) line.y = line.y.map((v) => (v > 0 ? v : null));
    return lines.filter((line) => line.x.length);
  }

  drawPanel(panel, ids) {
    const lines = this.lines(panel, ids);
    const none = lines.length === 0;
    panel.plot.hidden = none;
    panel.nothing.hidden = !none;
    if (none) {
      panel.nothing.textContent = ids.length === 0 ? "Tick runs in the table to draw them."
        : panel.evaluated === "score" ? "No captions are scored: train with --select cider or bleu4." : "No numbers yet.";
      panel.tip.hidden = true;
      return;
    }
    const data = lines.length ? uPlot.join(lines.map((line) => [line.x, line.y])) : [[]];
    const series = JSON.stringify(lines.map(({ name, colour, faint, dots, dash }) => [name, colour, faint, dots, dash]));
    const last = lines.filter((l) => l.name).map((l) => `${l.name} ${short(l.y.findLast((v) => v !== null))}`);
    panel.plot.setAttribute("aria-label", `${panel.title}: ${last.join("; ")}`);
    if (panel.uplot && panel.series === series) {
      panel.uplot.setData(data, false);
      this.scale(panel.uplot);
      return;
    }
    panel.uplot?.destroy();
    panel.series = series;
    panel.uplot = new uPlot(this.options(panel, lines), data, panel.plot);
    this.scale(panel.uplot);
  }

  // The zoom, or everything; what lies in it decides the height.
  scale(uplot) {
    const x = uplot.data[0];
    const [min, max] = this.zoom ?? [x[0], x[x.length - 1]];
    uplot.setScale("x", { min, max: max > min ? max : min + 1 });
  }

  options(panel, lines) {
    const style = getComputedStyle(document.documentElement);
    const [text, grid] = [style.getPropertyValue("--text-soft"), style.getPropertyValue("--line")];
    const font = `12px ${getComputedStyle(document.body).fontFamily}`;
    const axis = { stroke: text, font, grid: { stroke: grid, width: 1 }, ticks: { stroke: grid, width: 1 } };
    const draw = (line) => ({
      label: line.name ?? "",
      stroke: line.faint ? fade(line.colour) : line.colour,
      width: line.faint ? 1 : 2,
      spanGaps: true,
      dash: line.dash ? [6, 4] : undefined,
      points: { show: line.dots === true, size: 6, fill: line.colour },
    });
    return {
      width: Math.max(200, panel.plot.clientWidth),
      height: panel.plot.clientHeight,
      legend: { show: false },
      cursor: { sync: { key: "runs", setSeries: false }, drag: { x: true, y: false, setScale: false }, points: { show: false } },
      scales: { x: { time: false }, y: byId("log").checked ? { distr: 3 } : { range: (u, min, max) => this.range(panel, u, min, max) } },
      axes: [
        { ...axis, values: (_, ticks) => ticks.map((v) => (v >= 10000 ? `${v / 1000}k` : String(v))) },
        { ...axis, size: 56, values: (_, ticks) => ticks.map((v) => (v === null ? "" : short(v))) },
      ],
      series: [{}, ...lines.map(draw)],
      hooks: {
        setSelect: [(u) => {
          if (u.select.width < 4) return;
          const zoom = [u.posToVal(u.select.left, "x"), u.posToVal(u.select.left + u.select.width, "x")];
          u.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false);
          this.zoomTo(zoom);
        }],
        setCursor: [(u) => this.tip(panel, lines, u)],
        ready: [(u) => u.over.addEventListener("dblclick", () => this.zoomTo(null))],
      },
    };
  }

  // A perplexity starts at the size of the vocabulary: shown whole, the rest of the curve were a flat
  // line. What is far above nearly all values is cut off, and the chart says so.
  range(panel, u, min, max) {
    const [full, note] = [uPlot.rangeNum(min, max, 0.1, true), panel.digits];
    panel.note.textContent = note;
    if (panel.measure === "learning_rate" || min === null) return full;
    const x = u.data[0];
    const seen = u.data.slice(1).flatMap((values) => values.filter((v, i) => v !== null && v !== undefined && x[i] >= u.scales.x.min && x[i] <= u.scales.x.max));
    const most = seen.sort((a, b) => a - b)[Math.floor(0.9 * seen.length)];
    if (!(max - min > 3 * (most - min)) || most === min) return full;
    panel.note.textContent = "the highest values are cut off";
    return uPlot.rangeNum(min, min + 1.6 * (most - min), 0.1, true);
  }

  // The numbers at the cursor, in the chart that the pointer is over.
  tip(panel, lines, u) {
    const { left, idx } = u.cursor;
    const over = panel.card.matches(":hover");
    panel.tip.hidden = !over || idx === null || idx === undefined || left < 0;
    if (panel.tip.hidden) return;
    const rows = lines.flatMap((line, n) => {
      if (!line.name) return [];
      const value = nearest(u.data[n + 1], idx);
      return value === null ? [] : [element("div", {}, element("i", { style: { "--colour": line.colour } }), element("em", {}, line.name), element("b", { class: "number" }, short(value)))];
    });
    const at = this.axis() === "epoch" ? `epoch ${short(u.data[0][idx])}` : `iteration ${Math.round(u.data[0][idx]).toLocaleString("en-US")}`;
    panel.tip.replaceChildren(element("div", { class: "soft" }, at), ...rows.slice(0, 12));
    const right = left > u.over.clientWidth / 2;
    panel.tip.style.left = right ? "" : `${left + 90}px`;
    panel.tip.style.right = right ? `${u.over.clientWidth - left + 34}px` : "";
    panel.tip.style.top = "44px";
  }

  key(event) {
    const u = this.panels.find((panel) => panel.uplot && !panel.plot.hidden)?.uplot;
    if (!u) return;
    const { min, max } = u.scales.x;
    const [middle, half] = [(min + max) / 2, (max - min) / 2];
    const zooms = {
      "+": [middle - half / 2, middle + half / 2], "=": [middle - half / 2, middle + half / 2],
      "-": [Math.max(0, middle - 2 * half), middle + 2 * half],
      ArrowLeft: [min - half / 2, max - half / 2], ArrowRight: [min + half / 2, max + half / 2], 0: null,
    };
    if (!(event.key in zooms) || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    this.zoomTo(zooms[event.key]);
  }

  zoomTo(zoom) {
    this.zoom = zoom;
    this.draw();
    this.load(this.drawn());
  }

  rebuild() {
    for (const panel of this.panels) { panel.uplot?.destroy(); panel.uplot = null; panel.series = ""; }
    this.draw();
  }

  resize() {
    for (const { uplot, plot } of this.panels) {
      if (uplot && plot.clientWidth) uplot.setSize({ width: Math.max(200, plot.clientWidth), height: plot.clientHeight });
    }
  }
}

const fade = (colour) => `${colour}40`;

// The value at an index or just before: runs have numbers at different steps.
function nearest(values, at) {
  for (let i = at; i >= 0 && i > at - 40; i -= 1) if (values[i] !== null && values[i] !== undefined) return values[i];
  return null;
}
