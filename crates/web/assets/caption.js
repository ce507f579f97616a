// The captioning page: pictures come in by drop, paste, choice or camera; captions come out.

import { byId, element, number } from "./format.js";
import { Camera } from "./caption/camera.js";
import { clear, draw } from "./caption/heat.js";
import { caption, key } from "./caption/server.js";

// Pictures are sent no larger than this: the model sees a few hundred pixels of it.
const MOST_BYTES = 20 * 1024 * 1024;
const KEPT = 24;

const state = { items: [], current: null, rank: 0, request: null, waiting: [] };
const camera = new Camera(byId("video"), live, (error) => { stopCamera(); say(error); });
const sliders = ["n", "beam_size", "temperature"];

function options() {
  const [n, beam, temperature] = sliders.map((id) => Number(byId(id).value));
  // A beam of K finds K captions: the wider of the two wishes wins.
  return { n, beam_size: temperature > 0 ? beam : Math.max(beam, n), temperature, seed: temperature > 0 ? Math.floor(Math.random() * 1e9) : null, attention: true };
}

function showOptions() {
  for (const id of sliders) document.querySelector(`output[for="${id}"]`).textContent = byId(id).value;
  const drawn = Number(byId("temperature").value) > 0;
  byId("beam_size").disabled = drawn;
  byId("beam_size").closest(".option").classList.toggle("off", drawn);
}

async function take(files) {
  const pictures = [...files].filter((file) => file.type.startsWith("image/") || file.type === "");
  if (!pictures.length) {
    if (files.length) say({ message: `“${files[0].name}” is no picture.`, hint: "JPEG, PNG, WebP, GIF, BMP and TIFF are read." });
    return;
  }
  stopCamera();
  const items = pictures.map((file) => ({ file, url: URL.createObjectURL(file), captions: null, error: null }));
  state.items.unshift(...items);
  for (const old of state.items.splice(KEPT)) URL.revokeObjectURL(old.url);
  show(items[0]);
  // The one that is looked at first, then the others in their order.
  for (const item of items) await describe(item);
}

async function describe(item) {
  if (item.file.size > MOST_BYTES) item.error = { message: "The picture has more than 20 MB.", hint: "Make it smaller: the model sees it small anyway." };
  else {
    busy(item, true);
    item.request?.abort();
    const request = (item.request = new AbortController());
    try {
      const answer = await caption(item.file, options(), request.signal);
      if (item.request !== request) return;
      Object.assign(item, answer, { error: null });
      byId("model").textContent = answer.model;
    } catch (error) {
      if (error.name === "AbortError") return;
      item.error = error;
    }
    busy(item, false);
  }
  if (state.current === item) { state.rank = 0; show(item); } else strip();
}

function busy(item, yes) {
  if (state.current === item) byId("drop").classList.toggle("busy", yes);
}

function show(item) {
  state.current = item;
  byId("invite").hidden = true;
  byId("figure").hidden = false;
  byId("video").hidden = true;
  byId("drop").classList.add("filled");
  byId("drop").classList.toggle("busy", item.captions === null && item.error === null);
  if (byId("picture").src !== item.url) byId("picture").src = item.url;
  byId("picture").alt = item.captions ? "" : item.file.name;
  byId("picture").hidden = item.unshown === true;
  byId("unshown").hidden = !item.unshown;
  byId("unshown").textContent = `The browser can’t show “${item.file.name}”.`;
  clear(byId("heat"));
  say(item.error);
  results(item);
  strip();
}

function results(item) {
  const { captions } = item;
  byId("took").textContent = captions && item.seconds !== undefined ? `${number(1000 * item.seconds, 0)} ms` : "";
  byId("copying").hidden = !captions;
  byId("copied").textContent = "";
  byId("list").hidden = !captions || captions.length < 2;
  byId("attention-hint").hidden = !captions?.some((c) => c.attention);
  if (!captions) {
    byId("best").replaceChildren(element("p", { class: "soft" }, item.error ? "No caption for this picture." : "Looking at the picture …"));
    return;
  }
  const chosen = captions[Math.min(state.rank, captions.length - 1)];
  best(chosen);
  byId("picture").alt = chosen.text;
  const most = Math.max(...captions.map((c) => c.probability));
  byId("list").replaceChildren(...captions.map((c, rank) => element("li", {},
    element("button", { type: "button", "aria-pressed": String(c === chosen), onclick: () => { state.rank = rank; results(item); byId("list").querySelectorAll("button")[rank].focus(); } },
      element("span", {}, c.text || "(no words)"),
      element("span", { class: "share", title: `natural log probability ${number(c.log_prob, 3)}` }, percent(c.probability)),
      element("span", { class: "bar-line", "aria-hidden": "true" }, element("i", { style: { "--part": `${(100 * c.probability) / most}%` } }))))));
}

// Probabilities of sentences are small: two digits that count.
const percent = (p) => (p >= 0.0995 ? `${number(100 * p, 0)} %` : p >= 0.00095 ? `${number(100 * p, 1)} %` : `${(100 * p).toPrecision(1)} %`);

// The sentence; its words are buttons where there is something to see behind them.
function best(chosen) {
  const words = chosen.words.map((word, at) => {
    if (!chosen.attention) return element("span", { class: "word" }, word);
    const look = () => { draw(byId("heat"), chosen.attention, at); byId("focus-word").textContent = word; byId("focus-word").hidden = false; };
    const away = () => { clear(byId("heat")); byId("focus-word").hidden = true; };
    return element("button", { type: "button", class: "word", title: `log probability ${number(chosen.word_log_probs[at], 2)}`, onmouseenter: look, onfocus: look, onmouseleave: away, onblur: away, onclick: look }, word);
  });
  byId("best").replaceChildren(element("p", {}, ...words.flatMap((word, at) => (at ? [" ", word] : [word])), words.length ? "" : "(no words)"));
}

function strip() {
  const several = state.items.length > 1;
  byId("strip").hidden = !several;
  if (!several) return;
  byId("strip").replaceChildren(...state.items.map((item) => element("li", {},
    element("button", { type: "button", "aria-current": String(item === state.current), "aria-label": `${item.file.name}${item.captions ? `: ${item.captions[0].text}` : ""}`, onclick: () => { stopCamera(); state.rank = 0; show(item); } },
      item.unshown ? element("span", {}, item.file.name) : element("img", { src: item.url, alt: "", class: item.error ? "failed" : null })))));
}

function say(error) {
  const box = byId("problem");
  box.hidden = !error || error.status === 401;
  byId("key-form").hidden = error?.status !== 401;
  if (!error) return;
  if (error.status === 401) { byId("key").focus(); return; }
  const retry = error.retry ? ` Try again in ${error.retry} s.` : "";
  box.replaceChildren(element("strong", {}, error.message), error.hint || retry ? element("span", { class: "hint" }, `${error.hint ?? ""}${retry}`) : "");
}

async function startCamera() {
  try { await camera.start(); } catch (error) { say({ message: error.message }); return; }
  say(null);
  state.current = null;
  byId("invite").hidden = true;
  byId("figure").hidden = false;
  byId("picture").hidden = true;
  byId("unshown").hidden = true;
  byId("video").hidden = false;
  byId("drop").classList.add("filled");
  byId("drop").classList.remove("busy");
  byId("camera").setAttribute("aria-pressed", "true");
  byId("camera").querySelector("span").textContent = "Stop the camera";
  byId("best").replaceChildren(element("p", { class: "soft" }, "Looking …"));
  for (const id of ["list", "copying", "attention-hint"]) byId(id).hidden = true;
  // Several sentences a second are no news for a screen reader.
  byId("best").setAttribute("aria-live", "off");
}

function stopCamera() {
  if (!camera.on) return;
  camera.stop();
  byId("video").hidden = true;
  byId("rate").textContent = "";
  byId("took").textContent = "";
  byId("camera").setAttribute("aria-pressed", "false");
  byId("camera").querySelector("span").textContent = "Use the camera";
  byId("best").setAttribute("aria-live", "polite");
  if (state.items.length) show(state.items[0]);
  else { byId("figure").hidden = true; byId("invite").hidden = false; byId("drop").classList.remove("filled"); }
}

function live(answer, rate) {
  const [first] = answer.captions;
  byId("model").textContent = answer.model;
  best(first);
  byId("copying").hidden = false;
  byId("took").textContent = `${number(1000 * answer.seconds, 0)} ms`;
  byId("rate").textContent = rate === null ? "" : `${number(rate, 1)} captions a second`;
}

async function copy() {
  const text = byId("best").textContent;
  // Alt text starts with a capital and ends with a stop, so that screen readers pause.
  const sentence = `${text[0].toUpperCase()}${text.slice(1)}.`;
  try { await navigator.clipboard.writeText(sentence); byId("copied").textContent = "Copied."; }
  catch { byId("copied").textContent = "The browser did not allow copying: mark the sentence instead."; }
}

// Servers read formats that browsers don't show, and not everything that is called a picture is one.
byId("picture").addEventListener("error", () => {
  const item = state.items.find((one) => one.url === byId("picture").src);
  if (!item) return;
  item.unshown = true;
  if (state.current === item) show(item); else strip();
});
byId("choose").addEventListener("click", () => byId("file").click());
byId("file").addEventListener("change", (event) => { take(event.target.files); });
byId("camera").addEventListener("click", () => (camera.on ? stopCamera() : startCamera()));
byId("copy").addEventListener("click", copy);
document.addEventListener("paste", (event) => { if (event.clipboardData.files.length) take(event.clipboardData.files); });
for (const name of ["dragover", "dragenter"]) document.addEventListener(name, (event) => { event.preventDefault(); byId("drop").classList.add("over"); });
document.addEventListener("dragleave", (event) => { if (!event.relatedTarget) byId("drop").classList.remove("over"); });
document.addEventListener("drop", (event) => { event.preventDefault(); byId("drop").classList.remove("over"); take(event.dataTransfer.files); });
byId("options").addEventListener("input", showOptions);
byId("options").addEventListener("change", () => { if (state.current) describe(state.current); });
byId("options").addEventListener("submit", (event) => event.preventDefault());
// No control of the form may be called `reset`: it would stand before the method.
byId("usual").addEventListener("click", () => { byId("options").reset(); showOptions(); if (state.current) describe(state.current); });
byId("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  key.set(byId("key").value);
  byId("key").value = "";
  if (state.current) { state.current.error = null; say(null); describe(state.current); }
});
showOptions();
fetch("/ready").then((answer) => answer.json()).then((ready) => { if (ready.model) byId("model").textContent = ready.model; }).catch(() => {});
