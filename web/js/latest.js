/**
 * The newest window of each query, for the list of them: asked for when the status says that there is another one.
 *
 * So many are asked for at once, and each not more often than every few seconds, longer where its windows have many rows.
 */
import { useEffect, useState } from "../vendor/preact.js";
import { ask, pathOf } from "./api.js";

/** @typedef {import("./events.js").Window} Window */
/** @typedef {{ of: string | null, at: number, schema: import("./api.js").Column[], window: Window | null, isAsked: boolean }} Latest */

const AT_ONCE = 3;
const EVERY_MS = 2000;
const LONG_ROWS = 1000;
const LONG_EVERY_MS = 30_000;

/** @type {Map<string, Latest>} */
const known = new Map();
let asked = 0;

/** @param {Latest} latest */
const every = ({ window }) => ((window?.rows.length ?? 0) > LONG_ROWS ? LONG_EVERY_MS : EVERY_MS);

/** @param {import("./poll.js").Query} query @param {() => void} onNew */
async function look(query, onNew) {
  const latest = known.get(query.name) ?? { of: null, at: 0, schema: [], window: null, isAsked: false };
  const isNew = query.last_window_end !== latest.of && query.last_window_end !== null;
  if (!isNew || latest.isAsked || asked >= AT_ONCE || Date.now() - latest.at < every(latest)) return;
  asked += 1;
  known.set(query.name, { ...latest, isAsked: true });
  try {
    const { schema, windows } = await ask("GET", `${pathOf(query.name)}/results?windows=2`);
    const whole = windows.findLast((/** @type {Window} */ window) => window.status !== "folded");
    known.set(query.name, { of: query.last_window_end, at: Date.now(), schema, window: whole ?? windows.at(-1) ?? null, isAsked: false });
    onNew();
  } catch {
    // It was dropped meanwhile, or the node is gone, which the poller says.
    known.set(query.name, { ...latest, at: Date.now(), isAsked: false });
  } finally {
    asked -= 1;
  }
}

/** The least that the newest windows saw; nothing where none says it. @param {import("./poll.js").Query[]} queries */
export function worstOf(queries) {
  const parts = queries.map((query) => known.get(query.name)?.window?.completeness ?? null);
  return parts.reduce((least, part) => (part === null || (least !== null && least <= part) ? least : part), null);
}

/** @param {import("./poll.js").Query[]} queries @returns {(name: string) => Latest | undefined} */
export function useLatest(queries) {
  const [, redraw] = useState(0);
  useEffect(() => {
    for (const query of queries) void look(query, () => redraw((number) => number + 1));
  });
  return (name) => known.get(name);
}
