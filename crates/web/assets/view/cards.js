// One picture with what was written about it, small in the grid and large in a dialog.

import { element, number } from "../format.js";
import { difference } from "./difference.js";

// `pair` is {first, second}: the item of each file; second is absent unless two files are compared.
function captions(pair, words) {
  const { first, second } = pair;
  if (!second) return [element("p", { class: "caption" }, ...highlight(first.caption, words))];
  const [a, b] = difference(first.caption, second.caption);
  return [line("A", "a", a), line("B", "b", b)];
}

function line(letter, kind, marked) {
  const parts = marked.flatMap(([word, common], i) => [i ? " " : "", common ? word : element("ins", {}, word)]);
  return element("p", { class: `caption ${kind}` }, element("span", { class: `letter ${kind}`, title: `File ${letter}` }, letter), ...parts);
}

// Parts of a text, those that match a searched word marked.
function highlight(text, words) {
  if (!words.length || !text) return [text || "(no words)"];
  const escaped = words.map((word) => word.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
  return text.split(new RegExp(`(${escaped.join("|")})`, "gi")).map((part, i) => (i % 2 ? element("mark", {}, part) : part));
}

function facts({ first, second }) {
  const out = [];
  const fact = (name, a, b, digits) => {
    if (a === null || a === undefined) return;
    if (b === null || b === undefined) { out.push(element("span", {}, `${name} `, element("b", {}, number(a, digits)))); return; }
    const way = b > a ? "up" : b < a ? "down" : "";
    out.push(element("span", {}, `${name} `, element("b", {}, number(a, digits)), " → ", element("b", { class: way }, number(b, digits))));
  };
  for (const name of Object.keys(first.scores)) fact(name, first.scores[name], second?.scores[name], 2);
  fact("log p", first.log_prob, second?.log_prob, 2);
  return element("p", { class: "facts" }, ...out);
}

function picture(item, large) {
  const none = () => element("div", { class: large ? "large-none" : "none" }, item.path.split("/").pop() || "no picture", element("br"), "The picture was not found");
  if (!item.src) return none();
  const image = element("img", { src: item.src, alt: large ? item.caption : `Enlarge: ${item.caption}`, loading: "lazy", decoding: "async" });
  image.addEventListener("error", () => image.replaceWith(none()));
  return image;
}

export function card(pair, words, open) {
  const { first } = pair;
  // Its name is the alternative text of the picture, or says that there is none.
  const button = element("button", { type: "button", class: "picture", onclick: open }, picture(first, false));
  const references = first.references.length
    ? element("details", {}, element("summary", {}, `${first.references.length} references`), referenceList(first, words)) : null;
  return element("li", { class: "card" }, button, element("div", { class: "words" }, ...captions(pair, words)), facts(pair), references);
}

function referenceList(item, words) {
  return element("ul", {}, ...item.references.map((text) => element("li", {}, ...highlight(text, words))));
}

export function enlarged(pair, words, step, close) {
  const { first } = pair;
  const references = first.references.length ? [element("h3", {}, "What people wrote"), referenceList(first, words)] : [];
  return [
    element("div", { class: "two" },
      element("figure", {}, picture(first, true)),
      element("div", { class: "side" },
        element("h2", { id: "large-title", class: "soft" }, first.path),
        element("div", { class: "words" }, ...captions(pair, words)), facts(pair), ...references)),
    element("div", { class: "steps" },
      element("span", { class: "buttons" },
        element("button", { type: "button", onclick: () => step(-1) }, "← Previous"),
        element("button", { type: "button", onclick: () => step(1) }, "Next →")),
      element("button", { type: "button", onclick: close }, "Close")),
  ];
}
