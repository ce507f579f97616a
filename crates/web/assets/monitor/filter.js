// The filter line: words, and comparisons such as hidden-size=512 or val<20.

const PATTERN = /^([a-z0-9_.\/-]+?)(<=|>=|!=|=|<|>)(.*)$/i;

// A list of tests, or {problem}. `value(row, name)` is undefined for a name that no run has.
export function parse(text, value, names) {
  const tests = [];
  for (const part of text.trim().split(/\s+/).filter(Boolean)) {
    const match = PATTERN.exec(part);
    if (!match) {
      const word = part.toLowerCase();
      tests.push((row) => words(row).includes(word));
      continue;
    }
    const [, typed, operator, right] = match;
    const name = spell(typed);
    if (!names.has(name)) return { problem: `No run has a column or parameter “${typed}”.` };
    // While it is being typed there is nothing to compare with yet.
    if (right === "") continue;
    tests.push((row) => compare(value(row, name), operator, right));
  }
  return { tests };
}

export const spell = (name) => name.trim().toLowerCase().replaceAll("_", "-");

const words = (row) =>
  [row.id, row.dataset, row.model, row.state, row.problem].filter(Boolean).join(" ").toLowerCase();

function compare(left, operator, right) {
  if (left === undefined || left === null) return operator === "!=";
  const [a, b] = [Number(left), Number(right)];
  const numbers = typeof left !== "boolean" && Number.isFinite(a) && Number.isFinite(b);
  const order = numbers ? a - b : String(left).toLowerCase().localeCompare(right.toLowerCase());
  switch (operator) {
    case "=": return numbers ? order === 0 : String(left).toLowerCase().includes(right.toLowerCase());
    case "!=": return order !== 0;
    case "<": return order < 0;
    case ">": return order > 0;
    case "<=": return order <= 0;
    default: return order >= 0;
  }
}
