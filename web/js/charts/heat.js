/**
 * A matrix of two keys: the darker, the more. Its scale is a root, so that what is small is seen beside what is great.
 */
import { html } from "../../vendor/preact.js";

/**
 * @param {{ rows: string[], columns: string[], value: (row: string, column: string) => number | null,
 *   format: (value: number) => string, rowLabel: string, columnLabel: string, label: string }} props
 */
export function Heat({ rows, columns, value, format, rowLabel, columnLabel, label }) {
  const all = rows.flatMap((row) => columns.map((column) => value(row, column) ?? 0));
  const max = Math.max(1e-9, ...all);
  return html`<div class="chart heat" role="region" aria-label=${label} tabindex="0">
    <table>
      <caption>${rowLabel} ↓ ${columnLabel} →</caption>
      <thead><tr><th scope="col"><span class="unseen">${rowLabel}</span></th>
        ${columns.map((column) => html`<th scope="col"><span>${column}</span></th>`)}</tr></thead>
      <tbody>${rows.map((row) => html`<tr><th scope="row">${row}</th>
        ${columns.map((column) => cellOf(value(row, column), max, format, `${row} → ${column}`))}</tr>`)}</tbody>
    </table>
  </div>`;
}

/** @param {number | null} found @param {number} max @param {(value: number) => string} format @param {string} title */
function cellOf(found, max, format, title) {
  if (found === null) return html`<td class="none" title="${title}: none"></td>`;
  const part = Math.sqrt(Math.max(0, found) / max);
  const style = { "--part": `${Math.round(6 + part * 94)}%` };
  return html`<td class=${part > 0.55 ? "dark" : ""} style=${style} title="${title}: ${format(found)}">${format(found)}</td>`;
}
