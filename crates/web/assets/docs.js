// The API's description for people, from the one for machines.

import { byId, element } from "./format.js";

for (const place of document.querySelectorAll(".origin")) place.textContent = location.origin;

const code = (text) => element("code", {}, text);

// Text with `code` in it.
const marked = (text) => text.split(/(`[^`]+`)/).map((part) => (part.startsWith("`") ? code(part.slice(1, -1)) : part));

function limits(schema) {
  const from = schema.minimum ?? (schema.exclusiveMinimum !== undefined ? `above ${schema.exclusiveMinimum}` : null);
  const to = schema.maximum > 1e15 ? null : schema.maximum;
  const range = from !== null && to !== undefined && to !== null ? `${from} to ${to}` : "";
  const usual = schema.default !== undefined ? `usually ${schema.default}` : "";
  return [schema.type, range, usual].filter(Boolean).join(", ");
}

function table(heads, rows) {
  return element("div", { class: "wide", tabindex: "0", role: "region", "aria-label": heads.join(", ") }, element("table", {},
    element("thead", {}, element("tr", {}, ...heads.map((head) => element("th", { scope: "col" }, head)))),
    element("tbody", {}, ...rows.map((row) => element("tr", {}, ...row.map((cell) => element("td", {}, cell)))))));
}

function operation(path, method, about) {
  const parts = [
    element("h2", {}, element("span", { class: `method ${method}` }, method.toUpperCase()), code(path), element("span", { class: "soft" }, about.summary)),
    about.description ? element("p", {}, ...marked(about.description)) : null,
  ];
  const query = (about.parameters ?? []).filter((p) => p.in === "query");
  if (query.length) parts.push(element("h3", {}, "Options"), table(["Name", "Value", "What it does"], query.map((p) => [code(p.name), limits(p.schema), element("span", {}, ...marked(p.description))])));
  const bodies = Object.keys(about.requestBody?.content ?? {});
  if (bodies.length) parts.push(element("h3", {}, "Body"), element("p", {}, ...bodies.flatMap((b, n) => [n ? " or " : "", code(b)])));
  parts.push(element("h3", {}, "Answers"), table(["Status", "Meaning"], Object.entries(about.responses).map(([status, r]) => [code(status), element("span", {}, ...marked(r.description))])));
  return element("section", { class: "card" }, ...parts);
}

const spec = await (await fetch("/openapi.json")).json();
byId("operations").append(...Object.entries(spec.paths).flatMap(([path, methods]) => Object.entries(methods).map(([method, about]) => operation(path, method, about))));
