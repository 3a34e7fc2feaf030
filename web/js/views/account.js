/**
 * The account: what was offered, and what became of it, by source; what reached each query, and what became of that.
 *
 * Each band leads to the question that tells more.
 */
import { html } from "../../vendor/preact.js";
import { Sankey } from "../charts/sankey.js";
import { clock, exact, percent, short } from "../format.js";
import { LOSSES, summed, useLosses } from "../losses.js";
import { missing, useNode } from "../poll.js";
import { amend, link } from "../router.js";
import { literal } from "../sql.js";

/** @typedef {import("../poll.js").Node} Node */
/** @typedef {{ name: string, values: Record<string, number>, unit: string }} Account */

const FATES = /** @type {Record<string, { colour: string, about: string }>} */ ({
  delivered: { colour: "var(--good)", about: "became rows" },
  control: { colour: "var(--muted)", about: "templates and options" },
  undecodable: { colour: "var(--warn)", about: "could not be decoded, or not yet" },
  dropped: { colour: "var(--bad)", about: "no room between capture and operators" },
  lost: { colour: "var(--bad)", about: "never arrived, by the sender's own numbers" },
  used: { colour: "var(--good)", about: "count in a result" },
  filtered: { colour: "var(--muted)", about: "left out by WHERE" },
  late: { colour: "var(--warn)", about: "their window was closed" },
});
const OF_SOURCES = ["delivered", "control", "undecodable", "dropped", "lost"];
const OF_QUERIES = ["used", "filtered", "late", "dropped"];

/** Counters as they are, or by how much they rose within the time that this page looks. @param {Node} node @param {string} kind @param {any} all @param {string[]} fates @param {boolean} isLately */
function counters(node, kind, all, fates, isLately) {
  const first = isLately ? node.history.get(`${kind} ${all.name}`)?.[0]?.values : undefined;
  return Object.fromEntries(fates.map((fate) => [fate, all[fate] - (first?.[fate] ?? 0)]));
}

/** @param {{ params: Record<string, string> }} props */
export function AccountPage({ params }) {
  const node = useNode();
  const losses = useLosses(node);
  const isLately = params.of === "lately";
  const { status } = node;
  if (!status) return html`<div class="account"><h1>Account</h1><p class="nothing tall">Asking the node …</p></div>`;
  const sources = status.sources.map((source) => ({
    name: source.name, unit: source.unit || "records",
    values: counters(node, "source", source, ["offered", ...OF_SOURCES], isLately),
  }));
  const queries = status.queries.map((query) => ({
    name: query.name, unit: "rows", values: counters(node, "query", query, ["delivered", ...OF_QUERIES], isLately),
  }));
  return html`<div class="account">
    <header class="head"><h1>Account</h1>
      <div class="tools"><div class="switch" role="group" aria-label="Of which time">
        <button aria-pressed=${!isLately} onClick=${() => amend({ of: undefined })}>since the start</button>
        <button aria-pressed=${isLately} onClick=${() => amend({ of: "lately" })}>last minutes</button></div></div></header>
    ${exportersOf(losses)}
    <section><h2>What arrived, and what became of it</h2>
      ${flowOf(sources, "offered", OF_SOURCES, ofSource)}
      ${tableOf(sources, "offered", OF_SOURCES, ofSource, "Source")}</section>
    <section><h2>What reached each query, and what became of it</h2>
      ${flowOf(queries.filter(({ values }) => values.delivered > 0), "delivered", OF_QUERIES, ofQuery)}
      ${tableOf(queries, "delivered", OF_QUERIES, ofQuery, "Query")}</section>
  </div>`;
}

/** What exporters sent, by their own numbers, in the windows that are kept. @param {import("../losses.js").LossWindow[] | null} losses */
function exportersOf(losses) {
  const title = "What exporters sent, and what became of it";
  if (!losses) {
    const sql = ofExporter("", null, "missing");
    return html`<section><h2>${title}</h2><p class="nothing">What exporters lost on the way is told by their sequence numbers, which
      the query ${LOSSES} of the starting set adds up; it does not run here. <a href=${link(["ask"], { sql })}>Ask it</a>.</p></section>`;
  }
  const rows = summed(losses).filter(({ exporter }) => exporter !== null);
  if (rows.length === 0) return null;
  const accounts = rows.map(({ source, exporter, unit, ...values }) =>
    ({ name: String(exporter), source, unit, values: /** @type {Record<string, number>} */ (values) }));
  const question = (/** @type {string} */ exporter, /** @type {string} */ fate) =>
    ofExporter(accounts.find(({ name }) => name === exporter)?.source ?? "", exporter, fate);
  return html`<section><h2>${title} <small>by their own numbers, from ${clock(losses[0].start)} to ${clock(losses[losses.length - 1].end)}</small></h2>
    ${flowOf(accounts, "offered", OF_SOURCES, question)}
    ${tableOf(accounts, "offered", OF_SOURCES, question, "Exporter")}</section>`;
}

/** @param {string} source @param {string | null} exporter @param {string} fate */
function ofExporter(source, exporter, fate) {
  const sum = fate === "missing" ? "undecodable + dropped + lost" : fate;
  const which = exporter === null ? "exporter IS NOT NULL" : `source = ${literal(source)} AND exporter = ${literal(exporter)}`;
  return `SELECT exporter, protocol, unit, sum(offered) AS all_offered, sum(${sum}) AS ${fate}
FROM ledger
WHERE ${which}
GROUP BY exporter, protocol, unit, tumble('10 seconds')
ORDER BY ${fate} DESC`;
}

/** The question that a band of a source leads to. @param {string} source @param {string} fate */
const ofSource = (source, fate) => `SELECT source, exporter, unit, sum(offered) AS all_offered, sum(${fate}) AS ${fate}
FROM ledger
WHERE query_name IS NULL AND source = ${literal(source)}
GROUP BY source, exporter, unit, tumble('10 seconds')
ORDER BY ${fate} DESC`;

/** @param {string} query @param {string} fate */
const ofQuery = (query, fate) => `SELECT query_name, sum(query_${fate}) AS ${fate}
FROM ledger
WHERE query_name = ${literal(query)}
GROUP BY query_name, tumble('10 seconds')`;

/** @param {Account[]} accounts @param {string} whole @param {string[]} fates @param {(name: string, fate: string) => string} question */
function flowOf(accounts, whole, fates, question) {
  const some = accounts.filter(({ values }) => fates.some((fate) => values[fate] > 0));
  if (some.length === 0) return html`<p class="nothing">Nothing so far.</p>`;
  const nodes = [
    ...some.map(({ name, values, unit }) => ({
      id: `of ${name}`, label: name, layer: 0, colour: "var(--accent)", title: `${name}, ${exact(values[whole])} ${unit} ${whole}`,
    })),
    ...fates.map((fate) => ({ id: fate, label: fate, layer: 1, colour: FATES[fate].colour, title: `${fate}: ${FATES[fate].about}` })),
  ];
  const links = some.flatMap(({ name, values, unit }) => fates.filter((fate) => values[fate] > 0).map((fate) => ({
    source: `of ${name}`, target: fate, value: values[fate], colour: FATES[fate].colour,
    title: `${name}: ${exact(values[fate])} ${unit} ${fate}, ${percent(values[fate] / Math.max(1, values[whole]))}; ${FATES[fate].about}`,
    href: link(["ask"], { sql: question(name, fate) }),
  })));
  return html`<${Sankey} nodes=${nodes} links=${links} label="From ${whole} to ${fates.join(", ")}" format=${(/** @type {number} */ value) => short(value)} />`;
}

/** @param {Account[]} accounts @param {string} whole @param {string[]} fates @param {(name: string, fate: string) => string} question @param {string} what */
function tableOf(accounts, whole, fates, question, what) {
  const hasMissing = what !== "Query";
  return html`<div class="rows scroll" role="region" aria-label="Figures" tabindex="0"><table>
    <thead><tr><th scope="col">${what}</th><th scope="col" class="number">${whole}</th>
      ${fates.map((fate) => html`<th scope="col" class="number" title=${FATES[fate].about}>${fate}</th>`)}
      ${hasMissing && html`<th scope="col" class="number">missing</th><th scope="col">unit</th>`}</tr></thead>
    <tbody>${accounts.map(({ name, values, unit }) => html`<tr>
      <th scope="row">${hasMissing ? name : html`<a href=${link(["query", name])}>${name}</a>`}</th>
      <td class="number">${exact(values[whole])}</td>
      ${fates.map((fate) => html`<td class="number">${values[fate] ? html`<a href=${link(["ask"], { sql: question(name, fate) })}>${exact(values[fate])}</a>` : "0"}</td>`)}
      ${hasMissing && html`<td class="number">${values.offered ? percent(missing(/** @type {any} */ (values)) / values.offered) : "–"}</td><td>${unit}</td>`}
    </tr>`)}</tbody></table></div>`;
}
