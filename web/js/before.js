/**
 * What was before: for each window the one that lies so much earlier, of those that are here, and else of the query's
 * table, which has what the node still knows and what its history has stored.
 */
import { useEffect, useRef, useState } from "../vendor/preact.js";
import { ask } from "./api.js";
import { Windows } from "./windows.js";

/** @typedef {import("./windows.js").Known} Known */

const HOUR = 3_600_000;
/** What can stand beside a result, and how much earlier it is; nothing where that follows from the windows. */
export const BESIDE = /** @type {Record<string, { title: string, shift: number | null }>} */ ({
  window: { title: "the window before", shift: null },
  span: { title: "the same time before", shift: null },
  hour: { title: "an hour before", shift: HOUR },
  day: { title: "a day before", shift: 24 * HOUR },
  week: { title: "a week before", shift: 7 * 24 * HOUR },
});
const ROWS_MAX = 20_000;
/** How much more is asked for at once, so that not each new window asks again. */
const AHEAD_MS = 60_000;
const OURS = ["window_start", "window_end", "status", "completeness"];

/** @param {string} beside @param {Known[]} windows */
export function shiftOf(beside, windows) {
  const known = BESIDE[beside]?.shift ?? null;
  const [first, last] = [windows[0], windows[windows.length - 1]];
  if (known !== null || !first) return known;
  return beside === "span" ? last.end - first.start : null;
}

/** The window that lies so much earlier: the nearest, less than half of its length away. @param {Known[]} all @param {Known} of @param {number} shift */
export function earlier(all, of, shift) {
  const at = of.start - shift;
  const near = (/** @type {Known} */ window) => Math.abs(window.start - at);
  const best = all.reduce((/** @type {Known | null} */ found, window) => (!found || near(window) < near(found) ? window : found), null);
  return best && near(best) * 2 < of.end - of.start ? best : null;
}

/** Rows of a query's table, as windows. @param {Record<string, any>[]} rows @returns {Known[]} */
export function asWindows(rows) {
  const windows = new Windows(Infinity);
  /** @type {Map<string, Record<string, any>[]>} */
  const groups = new Map();
  for (const row of rows) {
    const key = `${row.window_start}/${row.window_end}/${row.status}`;
    groups.set(key, [...(groups.get(key) ?? []), row]);
  }
  for (const group of groups.values()) {
    const { window_start, window_end, status, completeness } = group[0];
    const own = group.map((row) => Object.fromEntries(Object.entries(row).filter(([name]) => !OURS.includes(name))));
    windows.put({ window_start, window_end, status, completeness, rows: own });
  }
  return windows.list();
}

/** What was asked for, and how far it reaches. */
const NOTHING = { of: "", shift: /** @type {number | null} */ (null), until: 0, known: /** @type {Known[]} */ ([]), isAsking: false, hasFailed: false };

/** @param {number} at */
const timestamp = (at) => `TIMESTAMP '${new Date(at).toISOString()}'`;

/** The windows of a query's table that begin in a span. @param {string} name @param {number} from @param {number} to */
async function stored(name, from, to) {
  const sql = `SELECT * FROM "${name}" WHERE window_start >= ${timestamp(from)} AND window_start < ${timestamp(to)} ORDER BY window_start DESC`;
  return asWindows((await ask("POST", "/api/v1/sql", { body: { sql, rows_max: ROWS_MAX } })).rows);
}

/**
 * Gives of each window the one before, and whether some are not known.
 * @param {string | null} name of the query, where it has a table @param {Known[]} windows @param {string | undefined} beside
 * @returns {{ before: (window: Known | null) => Known | null, state: "none" | "asking" | "some" | "nothing" | "failed" }}
 */
export function useBefore(name, windows, beside) {
  const asked = useRef(NOTHING);
  const [, redraw] = useState(0);
  const [first, last] = [windows[0], windows[windows.length - 1]];
  const of = `${name} ${beside}`;
  if (asked.current.of !== of) asked.current = { ...NOTHING, of, known: [] };
  const own = asked.current;
  // More windows come, and what stands beside the others stays.
  own.shift ??= beside ? shiftOf(beside, windows) : null;
  const { shift } = own;
  const needed = shift !== null && last ? last.start - shift + 1 : 0;
  const isNeeded = name !== null && shift !== null && needed > own.until;
  useEffect(() => {
    if (!isNeeded || own.isAsking || !first || shift === null) return;
    const from = own.until || first.start - shift - (first.end - first.start) / 2;
    const to = needed + Math.min(shift, AHEAD_MS);
    own.isAsking = true;
    stored(/** @type {string} */ (name), from, to).then((found) => own.known.push(...found)).catch(() => {
      own.hasFailed = true;
    }).finally(() => {
      own.until = to;
      own.isAsking = false;
      redraw((number) => number + 1);
    });
  });
  if (beside === "window") return { before: (window) => (window && windows[windows.indexOf(window) - 1]) ?? null, state: "some" };
  if (!beside || shift === null) return { before: () => null, state: "none" };
  const all = [...own.known, ...windows];
  const found = new Map(windows.map((window) => [window.key, earlier(all, window, shift)]));
  const isSome = [...found.values()].some(Boolean);
  const state = isSome ? "some" : own.isAsking || (own.until === 0 && isNeeded) ? "asking" : own.hasFailed ? "failed" : "nothing";
  return { before: (window) => (window && found.get(window.key)) ?? null, state };
}
