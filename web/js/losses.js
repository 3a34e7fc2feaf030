/**
 * What exporters lost on the way, by their own sequence numbers.
 *
 * The status says of a source how much it was; of which exporter, stands in `ledger`. The query `losses` of the starting
 * set adds it up, minute by minute, and its windows are taken from there.
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

/** Oldest first; `null` where no query knows, `undefined` as long as it was not heard. @param {import("./poll.js").Node} node @returns {LossWindow[] | null | undefined} */
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
    }).catch(() => {
      if (gone.signal.aborted) return;
      // Another time, with the next window.
      known = { ...known, of: known.of ?? last };
      redraw((number) => number + 1);
    });
    return () => gone.abort();
  }, [last]);
  if (!query) return node.status ? null : undefined;
  return last !== null && known.of === null ? undefined : known.windows;
}

/**
 * The newest window in which something of a source was missing, and which of its exporters missed most.
 * @param {LossWindow[]} windows @param {string} source
 */
export function lastLoss(windows, source) {
  const ofSource = (/** @type {LossWindow} */ { rows }) =>
    rows.filter((row) => row.source === source && row.exporter !== null && row.missing > 0);
  const window = windows.findLast((known) => ofSource(known).length > 0);
  if (!window) return null;
  const part = (/** @type {Loss} */ row) => row.missing / Math.max(1, row.offered);
  const [worst] = ofSource(window).toSorted((a, b) => part(b) - part(a));
  return { at: window.end, who: String(worst.exporter), part: part(worst) };
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
