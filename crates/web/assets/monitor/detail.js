// One run: captions of the last validation beside their pictures, and all parameters.

import { byId, element, number } from "../format.js";
import { parameter } from "./table.js";

export class Detail {
  constructor(state, close) {
    this.state = state;
    this.close = close;
    this.key = "";
  }

  async show(id) {
    const box = byId("detail");
    const run = this.state.runs.get(id);
    box.hidden = !run;
    if (!run) { this.key = ""; return; }
    // Only a new evaluation changes what is below.
    const key = JSON.stringify([id, run.val_ppl, run.samples, run.problem, run.params]);
    if (key === this.key) return;
    this.key = key;
    let samples = [];
    try {
      const answer = await fetch(`/api/samples?${new URLSearchParams({ run: id })}`);
      if (answer.ok) samples = await answer.json();
    } catch { /* Shown as none; the next change asks again. */ }
    if (this.state.open !== id) return;
    const cards = samples.map((sample, n) => this.card(id, sample, n, run));
    const names = Object.keys(run.params).sort();
    box.replaceChildren(...[
      element("header", {},
        element("div", {}, element("h2", { id: "detail-title", tabindex: "-1" }, run.name), element("p", { class: "soft small mono" }, run.id)),
        element("button", { type: "button", onclick: this.close }, "Close")),
      run.problem ? element("p", { class: "notice bad" }, run.problem) : null,
      element("h3", {}, samples.length ? `Captions of the last validation (perplexity ${number(run.val_ppl)})` : ""),
      samples.length ? element("ul", { class: "samples" }, ...cards)
        : element("p", { class: "soft" }, run.kind === "run" ? "No captions yet: the next validation writes some." : "NeuralTalk’s status files hold no captions."),
      element("h3", {}, `${names.length} parameters`),
      element("dl", { class: "parameters" }, ...names.map((name) => element("div", {}, element("dt", {}, name), element("dd", { class: "mono" }, parameter(run.params[name]))))),
    ].filter(Boolean));
  }

  card(id, sample, n, run) {
    // The caption and the evaluation are part of the address, so that no old picture is shown.
    const query = new URLSearchParams({ run: id, n, of: sample.path });
    const image = element("img", { src: `/api/picture?${query}`, alt: sample.caption, loading: "lazy" });
    image.addEventListener("error", () => image.replaceWith(element("div", { class: "none" }, `${sample.path} is not where the data is`)));
    return element("li", {}, image, element("p", {}, sample.caption || "(no words)"), element("small", {}, `${sample.path} · log p ${number(sample.log_prob)}`));
  }
}
