/**
 * How the node stands, second by second: one poller for the whole page.
 *
 * Keeps the newest status and what the counters of each source and query were in the last minutes, so that rates can be
 * drawn. When the node does not answer, what was last known stays, and the state says so.
 */
import { useEffect, useState } from "../vendor/preact.js";
import { Problem, ask } from "./api.js";

/**
 * @typedef {{ name: string, kind: string, state: string, reason?: string, since: string, unit: string, offered: number,
 *   delivered: number, filtered: number, control: number, undecodable: number, dropped: number, lost: number, records_missing: number,
 *   octets: number, messages: number, threads: string[] }} Source
 * @typedef {{ name: string, sql: string, options: Record<string, any>, state: string, reason?: string, since: string,
 *   streams: string[], delivered: number, used: number, filtered: number, late: number, dropped: number,
 *   folded: number, octets_held: number, groups_held: number, ns_a_row: number | null, work_ns: number,
 *   window_work_ns: number, results_lost: number,
 *   last_window_start: string | null, last_window_end: string | null }} Query
 * @typedef {{ version: string, now: string, started: string, sources: Source[], queries: Query[],
 *   threads: { name: string, cpu_seconds: number }[] }} Status
 * @typedef {{ at: number, values: Record<string, number> }} Sample
 * @typedef {{ status: Status | null, history: Map<string, Sample[]>, isThere: boolean, error: string, lostAt: number,
 *   since: number, missedAt: Map<string, number> }} Node
 */

const EVERY_MS = 1000;
const HIDDEN_EVERY_MS = 10_000;
const BACKOFF_MAX_MS = 8000;
const WITHIN_MS = 5000;
/** Samples that are kept of each. */
export const SAMPLES_MAX = 180;

const SOURCE_FATES = ["offered", "delivered", "filtered", "control", "undecodable", "dropped", "lost", "octets", "messages"];
const QUERY_FATES = ["delivered", "used", "filtered", "late", "dropped", "folded", "work_ns", "window_work_ns"];

/** @type {Node} */
let node = {
  status: null, history: new Map(), isThere: true, error: "", lostAt: 0, since: Date.now(), missedAt: new Map(),
};
/** @type {Set<(node: Node) => void>} */
const listeners = new Set();
let failures = 0;
/** @type {number | undefined} */
let timer;

/**
 * A source with what its exporters sent and what never came: their own numbers say it, and what a socket gives does not.
 * @param {Source} source @returns {Source}
 */
const asSent = (source) => (source.kind === "flow exports"
  ? { ...source, offered: source.offered + source.records_missing, lost: source.lost + source.records_missing } : source);

/** What of a source's records is not there. @param {{ undecodable: number, dropped: number, lost: number }} source */
export const missing = ({ undecodable, dropped, lost }) => undecodable + dropped + lost;

/** @param {Map<string, Sample[]>} history @param {string} key @param {number} at @param {any} counters @param {string[]} fates */
function remember(history, key, at, counters, fates) {
  const samples = history.get(key) ?? [];
  const values = Object.fromEntries(fates.map((fate) => [fate, counters[fate]]));
  const last = samples.at(-1);
  // What is delivered never goes back, but in another run; what is lost does, when it comes late.
  const isAnew = last !== undefined && values.delivered < last.values.delivered;
  history.set(key, [...(isAnew ? [] : samples.slice(1 - SAMPLES_MAX)), { at, values }]);
}

/** @param {Status} answer */
function take(answer) {
  const status = { ...answer, sources: answer.sources.map(asSent) };
  const at = Date.parse(status.now);
  const { history, missedAt } = node;
  for (const source of status.sources) {
    const before = history.get(`source ${source.name}`)?.at(-1)?.values;
    if (before && missing(source) > missing(/** @type {any} */ (before))) missedAt.set(source.name, at);
    remember(history, `source ${source.name}`, at, source, SOURCE_FATES);
  }
  for (const query of status.queries) remember(history, `query ${query.name}`, at, query, QUERY_FATES);
  for (const thread of status.threads) remember(history, `thread ${thread.name}`, at, thread, ["cpu_seconds"]);
  // What is no more comes under other names again.
  for (const [key, samples] of history) if (samples.at(-1)?.at !== at) history.delete(key);
  node = { ...node, status, isThere: true, error: "" };
}

async function look() {
  try {
    take(await ask("GET", "/api/v1/status", { signal: AbortSignal.timeout(WITHIN_MS) }));
    failures = 0;
  } catch (error) {
    failures += 1;
    const lostAt = node.isThere ? Date.now() : node.lostAt;
    node = { ...node, isThere: false, lostAt, error: error instanceof Problem ? error.message : String(error) };
  }
  listeners.forEach((listener) => listener(node));
  const every = document.hidden ? HIDDEN_EVERY_MS : EVERY_MS;
  // Of two looks at once, the later one goes on alone.
  clearTimeout(timer);
  timer = setTimeout(look, Math.max(every, Math.min(BACKOFF_MAX_MS, failures && EVERY_MS * 2 ** (failures - 1))));
}

/** Looks at once, as after something was changed here. */
export function lookNow() {
  clearTimeout(timer);
  void look();
}

export function startPolling() {
  void look();
  document.addEventListener("visibilitychange", () => document.hidden || lookNow());
}

/** The node, anew each time that it was looked at. @returns {Node} */
export function useNode() {
  const [seen, see] = useState(node);
  useEffect(() => {
    listeners.add(see);
    see(node);
    return () => void listeners.delete(see);
  }, []);
  return seen;
}
