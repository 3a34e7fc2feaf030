/**
 * What exporters lost on the way, by their own sequence numbers.
 *
 * The status counts a source as a whole; what never came stands in `ledger`, exporter by exporter. The query `losses` of
 * the starting set adds it up, minute by minute, and its windows are taken from there.
 */
import { useEffect, useState } from "../vendor/preact.js";
import { ask, pathOf } from "./api.js";

/**
 * @typedef {{ source: string, exporter: string | null, unit: string, offered: number, delivered: number, control: number,
 *   undecodable: number, dropped: number, lost: number, missing: number }} Loss
 * @typedef {{ start: number, end: number, rows: Loss[] }} LossWindow
 */

/** The query that knows. */
export const LOSSES = "losses";
const WINDOWS = 120;
const COLUMNS = ["source", "exporter", "unit", "offered", "delivered", "control", "undecodable", "dropped", "lost", "missing"];

/** @type {{ of: string | null, windows: LossWindow[] }} */
let known = { of: null, windows: [] };

/** Oldest first; `null` where no query knows. @param {import("./poll.js").Node} node @returns {LossWindow[] | null} */
export function useLosses(node) {
  const [, redraw] = useState(0);
  const query = node.status?.queries.find(({ name, state }) => name === LOSSES && state === "running");
  const last = query?.last_window_end ?? null;
  useEffect(() => {
    if (last === null || last === known.of) return undefined;
    const gone = new AbortController();
    ask("GET", `${pathOf(LOSSES)}/results?windows=${WINDOWS}`, { signal: gone.signal }).then(({ schema, windows }) => {
      const names = new Set(schema.map((/** @type {any} */ column) => column.name));
      const isOurs = COLUMNS.every((name) => names.has(name));
      const whole = windows.filter((/** @type {any} */ window) => isOurs && window.status !== "early");
      known = {
        of: last,
        windows: whole.map((/** @type {any} */ { window_start: start, window_end: end, rows }) =>
          ({ start: Date.parse(start), end: Date.parse(end), rows })),
      };
      redraw((number) => number + 1);
    }).catch(() => {});
    return () => gone.abort();
  }, [last]);
  return query ? known.windows : null;
}

/** The newest window in which something was missing, and of whom most. @param {LossWindow[]} windows */
export function lastLoss(windows) {
  const window = windows.findLast(({ rows }) => rows.some(({ missing }) => missing > 0));
  if (!window) return null;
  const [worst] = window.rows.toSorted((a, b) => b.missing / Math.max(1, b.offered) - a.missing / Math.max(1, a.offered));
  return { at: window.end, who: worst.exporter ?? worst.source, part: worst.missing / Math.max(1, worst.offered) };
}

/** All windows in one, by source, exporter and unit. @param {LossWindow[]} windows @returns {Loss[]} */
export function summed(windows) {
  /** @type {Map<string, any>} */
  const sums = new Map();
  for (const row of windows.flatMap(({ rows }) => rows)) {
    const key = `${row.source} ${row.exporter} ${row.unit}`;
    const sum = sums.get(key) ?? { source: row.source, exporter: row.exporter, unit: row.unit };
    for (const name of COLUMNS.slice(3)) sum[name] = (sum[name] ?? 0) + /** @type {any} */ (row)[name];
    sums.set(key, sum);
  }
  return [...sums.values()];
}
