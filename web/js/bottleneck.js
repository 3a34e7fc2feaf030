/**
 * Which part of a query takes most of its thread's time, measured: how much of a core each thread works, and how much
 * of that is for this query, which is its nanoseconds a row times its rows.
 *
 * Nothing is one below half a core, unless rows are dropped.
 */
import { exact, percent, short } from "./format.js";
import { rateNow } from "./rates.js";

/** @typedef {import("./poll.js").Node} Node */
/** @typedef {import("./poll.js").Query} Query */
/** @typedef {import("./api.js").Box} Box */
/** @typedef {{ runs: string, thread: string, busy: number, own: number | null }} Part Shares of a core. */
/** @typedef {{ id: string, short: string, text: string }} Bottleneck */

/** From this part of a core on. */
const MUCH = 0.5;
/** Seconds of which the mean is taken. */
const WITHIN = 10;

/** @param {Node} node @param {string} key @param {string} fate */
function rate(node, key, fate) {
  const found = rateNow(node.history.get(key), fate, WITHIN);
  return found !== null && Number.isFinite(found) ? Math.max(0, found) : null;
}

/** The busiest of some threads. @param {Node} node @param {(name: string) => boolean} isMeant */
function busiest(node, isMeant) {
  const threads = (node.status?.threads ?? []).filter(({ name }) => isMeant(name));
  const known = threads.map(({ name }) => ({ name, busy: rate(node, `thread ${name}`, "cpu_seconds") ?? 0 }));
  return known.toSorted((a, b) => b.busy - a.busy)[0] ?? null;
}

/** How busy each place is where parts of a query run. @param {Node} node @param {Query} query @param {string[]} sources @returns {Part[]} */
export function parts(node, query, sources) {
  const key = `query ${query.name}`;
  const [all, windows] = ["work_ns", "window_work_ns"].map((fate) => rate(node, key, fate));
  const own = { reader: null, worker: all === null || windows === null ? null : Math.max(0, all - windows) / 1e9, window: windows === null ? null : windows / 1e9 };
  const reading = new Set((node.status?.sources ?? []).filter(({ name }) => sources.includes(name)).flatMap(({ threads }) => threads));
  const places = /** @type {const} */ ([
    ["reader", (/** @type {string} */ name) => reading.has(name)],
    ["worker", (/** @type {string} */ name) => name.startsWith("operator-")],
    ["window", (/** @type {string} */ name) => name === "merger"],
  ]);
  return places.map(([runs, isMeant]) => {
    const thread = busiest(node, isMeant);
    // Results are made on whichever thread is free, so that work for windows may be more than the merger's.
    const busy = runs === "window" ? Math.max(thread?.busy ?? 0, own.window ?? 0) : thread?.busy ?? own[runs] ?? 0;
    return { runs, thread: thread?.name ?? "a thread", busy, own: own[runs] };
  });
}

/** The box that a place is marked at: the one that does most there. @param {Box[]} boxes @param {string} runs */
function boxOf(boxes, runs) {
  const here = boxes.filter((box) => box.runs === runs || (runs === "reader" && box.kind === "source"));
  const main = { reader: "source", worker: "aggregate", window: "window" }[runs];
  return here.find(({ kind }) => kind === main) ?? here.at(-1) ?? null;
}

/** @param {Node} node @param {Query} query @param {string[]} sources @param {Box[]} boxes @returns {Bottleneck | null} */
export function bottleneck(node, query, sources, boxes) {
  const lost = (rate(node, `query ${query.name}`, "dropped") ?? 0)
    + sources.reduce((sum, name) => sum + (rate(node, `source ${name}`, "dropped") ?? 0), 0);
  const [most] = parts(node, query, sources).toSorted((a, b) => b.busy - a.busy);
  const box = most && boxOf(boxes, most.runs);
  if (!box || (most.busy <= MUCH && lost <= 0)) return null;
  const rows = rate(node, `query ${query.name}`, "delivered");
  const each = most.own && rows ? `: ${exact(Math.round((most.own * 1e9) / rows))} ns a row × ${short(rows)} rows/s` : "";
  const own = most.own === null ? "" : `, ${percent(most.own)} of one for this query${each}`;
  const drops = lost > 0 ? ` ${short(lost)} records/s are dropped.` : "";
  return {
    id: box.id,
    short: most.busy > MUCH || lost <= 0 ? `${percent(most.busy)} of a core` : `drops ${short(lost)}/s`,
    text: `${most.thread} works ${percent(Math.min(1, most.busy))} of a core${own}.${drops}`,
  };
}
