/**
 * What becomes of records and rows, second by second, and the questions over `ledger` that tell more.
 *
 * Takes what the counters were each time that the node was looked at, gives what happened between.
 */
import { literal } from "./sql.js";

/** @typedef {import("./poll.js").Sample} Sample */
/** @typedef {{ from: number, at: number, values: Record<string, number> }} Second By how much each counter rose, a second. */

export const FATES = /** @type {Record<string, { colour: string, about: string }>} */ ({
  delivered: { colour: "var(--good)", about: "became rows" },
  control: { colour: "var(--muted)", about: "templates and options" },
  undecodable: { colour: "var(--warn)", about: "could not be decoded, or not yet" },
  dropped: { colour: "var(--c4)", about: "no room between capture and operators" },
  lost: { colour: "var(--bad)", about: "never arrived, by the sender's own numbers" },
  used: { colour: "var(--good)", about: "count in a result" },
  filtered: { colour: "var(--muted)", about: "left out by WHERE; of a source, by a filter or a rule, or since no query needs them" },
  late: { colour: "var(--warn)", about: "their window was closed" },
});
export const OF_SOURCES = ["delivered", "filtered", "control", "undecodable", "dropped", "lost"];
/** What exporters send is not filtered. */
export const OF_EXPORTERS = OF_SOURCES.filter((fate) => fate !== "filtered");
export const OF_QUERIES = ["used", "filtered", "late", "dropped"];

/** What happened between each two looks, as rates. @param {Sample[] | undefined} samples @returns {Second[]} */
export function seconds(samples) {
  return (samples ?? []).slice(1).map(({ at, values }, number) => {
    const before = /** @type {Sample[]} */ (samples)[number];
    const length = Math.max(0.001, (at - before.at) / 1000);
    const rates = Object.entries(values).map(([name, value]) => [name, (value - before.values[name]) / length]);
    return { from: before.at, at, values: Object.fromEntries(rates) };
  });
}

/** The second that was looked at then. @param {Second[]} all @param {number} at */
export const secondAt = (all, at) => all.find((second) => second.at === at) ?? null;

/**
 * Heights of what is stacked: none that is there is thinner than can be seen, at the cost of the first.
 * @param {number[]} values from below to above @param {number} height of `max` @param {number} max @param {number} least
 */
export function heights(values, height, max, least) {
  const own = values.map((value) => (value > 0 ? Math.max(least, (value / max) * height) : 0));
  const over = own.reduce((sum, each) => sum + each, 0) - height;
  return over > 0 ? [Math.max(0, own[0] - over), ...own.slice(1)] : own;
}

/** @param {string} length */
const each = (length) => `tumble('${length}')`;

/** The question about one fate of a source. @param {string} source @param {string} fate @param {string} length */
export const ofSource = (source, fate, length) => `SELECT source, exporter, unit, sum(offered) AS all_offered, sum(${fate}) AS ${fate}
FROM ledger
WHERE query_name IS NULL AND source = ${literal(source)}
GROUP BY source, exporter, unit, ${each(length)}
ORDER BY ${fate} DESC`;

/** The question about all fates of a source, second by second. @param {string} source */
export const bySecond = (source) => `SELECT exporter, unit, sum(offered) AS offered, ${OF_SOURCES.map((fate) => `sum(${fate}) AS ${fate}`).join(", ")}
FROM ledger
WHERE query_name IS NULL AND source = ${literal(source)}
GROUP BY exporter, unit, ${each("1 second")}
ORDER BY offered DESC`;

/** @param {string} source @param {string | null} exporter @param {string} fate @param {string} length */
export function ofExporter(source, exporter, fate, length) {
  const sum = fate === "missing" ? "undecodable + dropped + lost" : fate;
  const which = exporter === null ? "exporter IS NOT NULL" : `source = ${literal(source)} AND exporter = ${literal(exporter)}`;
  return `SELECT exporter, protocol, unit, sum(offered) AS all_offered, sum(${sum}) AS ${fate}
FROM ledger
WHERE ${which}
GROUP BY exporter, protocol, unit, ${each(length)}
ORDER BY ${fate} DESC`;
}

/** @param {string} query @param {string} fate @param {string} length */
export const ofQuery = (query, fate, length) => `SELECT query_name, sum(query_${fate}) AS ${fate}
FROM ledger
WHERE query_name = ${literal(query)}
GROUP BY query_name, ${each(length)}`;
