/**
 * Which shape a result has: a number, a line, stacks, a flow between keys, a matrix, or rows alone.
 *
 * Takes the columns, the SQL and the windows, gives keys, values, and what of them is drawn: the greatest, and one
 * "other" for the rest.
 */
import { isKeyType } from "./format.js";
import { keyNames, orderedBy } from "./sql.js";

/** @typedef {import("./api.js").Column} Column */
/** @typedef {import("./windows.js").Known} Known */
/** @typedef {"number" | "line" | "stack" | "flow" | "matrix" | "table"} Shape */

const OURS = ["window_start", "window_end", "completeness", "status"];
/** Keys that are drawn each for itself. */
export const STACK_MAX = 12;
export const FLOW_MAX = 25;
export const MATRIX_MAX = 24;

export const SHAPES = /** @type {const} */ ({
  number: "Number", line: "Line", stack: "Stacked", flow: "Flow", matrix: "Heat map", table: "Table",
});

/** The columns of the SELECT list, keys and values apart. @param {Column[]} schema @param {string} sql */
export function rolesOf(schema, sql) {
  const columns = schema.filter((column) => !OURS.includes(column.name));
  const said = keyNames(sql);
  const isKey = (/** @type {Column} */ column) =>
    said.keys.has(column.name) || (!said.values.has(column.name) && isKeyType(column.type));
  const isNumber = (/** @type {Column} */ column) => /^(U?Int|Float|Decimal)/.test(column.type);
  return {
    columns,
    isWindowed: schema.some((column) => column.name === "window_start"),
    keys: columns.filter(isKey),
    values: columns.filter((column) => !isKey(column) && isNumber(column)),
  };
}

/** @typedef {ReturnType<typeof rolesOf>} Roles */

/** The value that is drawn unless another one is asked for. @param {Roles} roles @param {string} sql */
export function measureOf({ values }, sql) {
  const order = orderedBy(sql);
  const named = (/** @type {RegExp} */ words) => values.find((column) => words.test(column.name));
  return values.find((column) => column.name === order) ?? named(/octets|bytes|bits/i) ?? values[0] ?? null;
}

/** The shapes that a result can be shown in, the best first. @param {Roles} roles @param {number} windows @returns {Shape[]} */
export function shapesOf({ keys, values, isWindowed }, windows) {
  if (values.length === 0) return ["table"];
  if (keys.length === 0) return isWindowed && windows > 1 ? ["line", "number", "table"] : ["number", "table"];
  const stack = /** @type {Shape[]} */ (isWindowed ? ["stack"] : []);
  if (keys.length === 1) return [...stack, "table"];
  if (keys.length === 2) return ["flow", "matrix", ...stack, "table"];
  return keys.length === 3 ? ["flow", ...stack, "table"] : [...stack.slice(0, 0), "table"];
}

/** A row's keys in one text. @param {Record<string, any>} row @param {Column[]} keys */
export const keyText = (row, keys) => keys.map((key) => (row[key.name] === null ? "NULL" : String(row[key.name]))).join(" · ");

/**
 * One series a key over all windows: the greatest by their sum, then the rest as one.
 * @param {Known[]} windows @param {Column[]} keys @param {string} measure @param {number} max
 */
export function stacked(windows, keys, measure, max) {
  /** @type {Map<string, { row: Record<string, any>, sum: number }>} */
  const sums = new Map();
  for (const row of windows.flatMap((window) => window.rows)) {
    const name = keyText(row, keys);
    const known = sums.get(name) ?? { row, sum: 0 };
    known.sum += Math.max(0, row[measure] ?? 0);
    sums.set(name, known);
  }
  const ranked = [...sums].sort(([, a], [, b]) => b.sum - a.sum);
  const kept = ranked.slice(0, max);
  const names = new Set(kept.map(([name]) => name));
  const at = windows.map((window) => {
    const values = new Map(kept.map(([name]) => [name, 0]));
    let other = 0;
    for (const row of window.rows) {
      const name = keyText(row, keys);
      const value = Math.max(0, row[measure] ?? 0);
      if (names.has(name)) values.set(name, (values.get(name) ?? 0) + value);
      else other += value;
    }
    const folded = window.folded.reduce((sum, row) => sum + Math.max(0, row[measure] ?? 0), 0);
    return { window, values, other, folded };
  });
  return { series: kept.map(([name, { row, sum }]) => ({ name, row, sum })), others: ranked.length - kept.length, at };
}

/**
 * The greatest rows of a window, and the rest as one.
 * @param {Record<string, any>[]} rows @param {string} measure @param {number} max
 */
export function greatest(rows, measure, max) {
  const positive = rows.filter((row) => (row[measure] ?? 0) > 0).sort((a, b) => b[measure] - a[measure]);
  const rest = positive.slice(max);
  return { kept: positive.slice(0, max), rest: rest.length, other: rest.reduce((sum, row) => sum + row[measure], 0) };
}
