/**
 * The rows of a window: sorted by a click on a head, and each key a button that asks for it alone, or for all but it.
 */
import { html, useState } from "../vendor/preact.js";
import { cell, percent, short } from "./format.js";

/** @typedef {import("./api.js").Column} Column */
/** @typedef {{ row: Record<string, any>, before: number | null, isFolded: boolean }} Line */

const ROWS_FIRST = 200;

/** @param {any} a @param {any} b */
function compare(a, b) {
  if (a === null || a === undefined) return b === null || b === undefined ? 0 : 1;
  if (b === null || b === undefined) return -1;
  if (typeof a === "number" && typeof b === "number") return a - b;
  return String(a).localeCompare(String(b), "en", { numeric: true });
}

/** @param {Line[]} lines @param {{ name: string, isDown: boolean } | null} order */
function sorted(lines, order) {
  if (!order) return lines;
  const value = (/** @type {Line} */ { row, before }) => (order.name === "\0before" ? before : row[order.name]);
  return lines.toSorted((a, b) => {
    const found = compare(value(a), value(b));
    const isAbsent = (/** @type {any} */ x) => x === null || x === undefined;
    // What is absent is last, whichever way.
    return order.isDown && !isAbsent(value(a)) && !isAbsent(value(b)) ? -found : found;
  });
}

/**
 * @param {{ columns: Column[], keys: Column[], measure: Column | null, lines: Line[], hasBefore: boolean,
 *   label: string, onKey?: (column: Column, value: any, isExcluded: boolean) => void }} props
 */
export function Table({ columns, keys, measure, lines, hasBefore, label, onKey }) {
  const [order, setOrder] = useState(/** @type {{ name: string, isDown: boolean } | null} */ (null));
  const [most, setMost] = useState(ROWS_FIRST);
  const names = new Set(keys.map((key) => key.name));
  const all = sorted(lines, order);
  const max = measure ? Math.max(1e-9, ...lines.map(({ row }) => Number(row[measure.name]) || 0)) : 1;
  const sort = (/** @type {string} */ name, /** @type {boolean} */ isNumber) =>
    setOrder(order?.name === name ? (order.isDown === isNumber ? { name, isDown: !isNumber } : null) : { name, isDown: isNumber });
  const head = (/** @type {string} */ name, /** @type {string} */ text, /** @type {boolean} */ isNumber) => {
    const direction = order?.name === name ? (order.isDown ? "descending" : "ascending") : undefined;
    return html`<th scope="col" class=${isNumber ? "number" : ""} aria-sort=${direction}>
      <button onClick=${() => sort(name, isNumber)}>${text}<i aria-hidden="true">${direction ? (order?.isDown ? "↓" : "↑") : ""}</i></button></th>`;
  };
  return html`<div class="rows scroll" role="region" aria-label=${label} tabindex="0">
    <table>
      <thead><tr>${columns.map((column) => head(column.name, column.name, isNumber(column) && !names.has(column.name)))}
        ${hasBefore && head("\0before", "previous", true)}${hasBefore && html`<th scope="col" class="number">change</th>`}</tr></thead>
      <tbody>${all.slice(0, most).map((line) => rowOf(line, columns, names, measure, max, hasBefore, onKey))}</tbody>
    </table>
    ${all.length > most && html`<button class="more" onClick=${() => setMost(all.length)}>Show all ${all.length} rows</button>`}
  </div>`;
}

/** @param {Column} column */
const isNumber = (column) => /^(U?Int|Float|Decimal)/.test(column.type);

/**
 * @param {Line} line @param {Column[]} columns @param {Set<string>} keys @param {Column | null} measure
 * @param {number} max @param {boolean} hasBefore
 * @param {((column: Column, value: any, isExcluded: boolean) => void) | undefined} onKey
 */
function rowOf({ row, before, isFolded }, columns, keys, measure, max, hasBefore, onKey) {
  const now = measure ? row[measure.name] : null;
  return html`<tr class=${isFolded ? "folded" : ""}>
    ${columns.map((column) => {
      const value = row[column.name];
      if (keys.has(column.name) && !isFolded) return html`<td class="key">${keyOf(column, value, onKey)}</td>`;
      const isMeasure = column === measure;
      const style = isMeasure ? { "--part": `${Math.max(0, Math.min(100, (Number(value) / max) * 100)).toFixed(1)}%` } : undefined;
      const text = isFolded && keys.has(column.name) ? "beyond the cap" : cell(value, column);
      const kind = isNumber(column) && !keys.has(column.name) ? `number ${isMeasure ? "measure" : ""}` : "";
      return html`<td class="${kind} ${value === null || value === undefined ? "null" : ""}" style=${style}
        title=${typeof value === "number" ? String(value) : undefined}>${text}</td>`;
    })}
    ${hasBefore && html`<td class="number">${before === null ? "–" : cell(before, /** @type {Column} */ (measure))}</td>
      <td class="number">${changeOf(now, before)}</td>`}
  </tr>`;
}

/** @param {Column} column @param {any} value @param {((column: Column, value: any, isExcluded: boolean) => void) | undefined} onKey */
function keyOf(column, value, onKey) {
  const text = cell(value, column);
  if (!onKey) return html`<span class=${value === null ? "null" : ""}>${text}</span>`;
  const act = (/** @type {any} */ event) => onKey(column, value, event.altKey);
  return html`<button class="pick" title="Only ${text}; with Alt: all but ${text}" onClick=${act}>${text}</button>
    <button class="not" tabindex="-1" aria-label="All but ${text}" title="All but ${text}"
      onClick=${() => onKey(column, value, true)}>≠</button>`;
}

/** @param {any} now @param {number | null} before */
function changeOf(now, before) {
  if (before === null || now === null || now === undefined) return "new";
  if (before === 0) return now === 0 ? "=" : "new";
  const part = (now - before) / before;
  if (Math.abs(part) >= 10) return `×${short(now / before)}`;
  return part === 0 ? "=" : `${part > 0 ? "+" : "−"}${percent(Math.abs(part)).replace(/^100/, "100")}`;
}

/** Rows as CSV, by RFC 4180. @param {string[]} names @param {Record<string, any>[]} rows */
export function csv(names, rows) {
  const field = (/** @type {any} */ value) => {
    if (value === null || value === undefined) return "";
    const text = typeof value === "object" ? JSON.stringify(value) : String(value);
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  return [names, ...rows.map((row) => names.map((name) => row[name]))].map((line) => line.map(field).join(",")).join("\r\n");
}

/** Gives the browser a file to keep. @param {string} name @param {string} text @param {string} type */
export function save(name, text, type) {
  const address = URL.createObjectURL(new Blob([text], { type }));
  const anchor = Object.assign(document.createElement("a"), { href: address, download: name });
  anchor.click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}

