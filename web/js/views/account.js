/**
 * The account: what was offered, and what became of it, by source and by second; what reached each query, and what
 * became of that. Each band leads to the question that tells more.
 */
import { html, useState } from "../../vendor/preact.js";
import { Sankey } from "../charts/sankey.js";
import { SPAN_MS, Seconds } from "../charts/seconds.js";
import { FATES, OF_EXPORTERS, OF_QUERIES, OF_SOURCES, bySecond, ofExporter, ofQuery, ofSource, secondAt, seconds } from "../fates.js";
import { clock, duration, exact, percent, short } from "../format.js";
import { LOSSES, summed, useLosses } from "../losses.js";
import { missing, useNode } from "../poll.js";
import { amend, go, link } from "../router.js";

/** @typedef {import("../poll.js").Node} Node */
/** @typedef {import("../poll.js").Source} Source */
/** @typedef {{ name: string, values: Record<string, number>, unit: string }} Account */
/** @typedef {(name: string, fate: string) => string} Question */

/** Strips that are drawn where no source is chosen: those of the sources that were offered most. */
const STRIPS_MAX = 6;
const LATELY = "10 seconds";
const SECOND = "1 second";

/** Counters as they are, by how much they rose within the time that this page looks, or within one second.
 *  @param {Node} node @param {string} kind @param {any} all @param {string[]} fates The whole, then its parts. @param {boolean} isLately @param {number | null} at */
function counters(node, kind, all, fates, isLately, at) {
  const samples = node.history.get(`${kind} ${all.name}`);
  if (at !== null) {
    const values = secondAt(seconds(samples), at)?.values;
    const [whole, ...parts] = fates;
    const rounded = parts.map((fate) => /** @type {const} */ ([fate, Math.max(0, Math.round(values?.[fate] ?? 0))]));
    // What late arrivals take back within a second is none of that second.
    return Object.fromEntries([[whole, rounded.reduce((sum, [, value]) => sum + value, 0)], ...rounded]);
  }
  const first = isLately ? samples?.[0]?.values : undefined;
  return Object.fromEntries(fates.map((fate) => [fate, all[fate] - (first?.[fate] ?? 0)]));
}

/** @param {{ params: Record<string, string> }} props */
export function AccountPage({ params }) {
  const node = useNode();
  const losses = useLosses(node);
  const [chosen, choose] = useState(/** @type {number | null} */ (null));
  const isLately = params.of === "lately";
  const { status } = node;
  // All at once, so that nothing moves.
  if (!status || losses === undefined) return html`<div class="account"><h1>Account</h1><p class="nothing tall" role="status">Asking the node …</p></div>`;
  const now = Date.parse(status.now);
  // What has left the strip is not known any more.
  const at = chosen !== null && now - chosen < SPAN_MS ? chosen : null;
  const which = status.sources.filter((source) => !params.source || source.name === params.source);
  const sources = which.map((source) => ({
    name: source.name, unit: source.unit || "records",
    values: counters(node, "source", source, ["offered", ...OF_SOURCES], isLately, at),
  }));
  const queries = status.queries.map((query) => ({
    name: query.name, unit: "rows", values: counters(node, "query", query, ["delivered", ...OF_QUERIES], isLately, at),
  }));
  const length = at === null ? LATELY : SECOND;
  const when = at === null ? "" : html` <small>in the second until ${clock(at)}</small>`;
  const question = (/** @type {string} */ name, /** @type {string} */ fate) => ofSource(name, fate, length);
  const reached = queries.filter(({ values }) => values.delivered > 0);
  return html`<div class="account">
    <header class="head"><h1>Account</h1>${choices(status.sources, params.source, at === null ? isLately : null, () => choose(null))}</header>
    <section><h2>What arrived, and what became of it${when}</h2>
      ${flowOf(sources, "offered", OF_SOURCES, question)}
      <${Strips} node=${node} sources=${which} now=${now} at=${at} choose=${choose} />
      ${tableOf(sources, "offered", OF_SOURCES, question, "Source")}</section>
    ${exportersOf(losses, params.source, at)}
    <section><h2>What reached each query, and what became of that${when}</h2>
      ${flowOf(reached, "delivered", OF_QUERIES, (name, fate) => ofQuery(name, fate, length))}
      ${tableOf(queries, "delivered", OF_QUERIES, (name, fate) => ofQuery(name, fate, length), "Query")}</section>
  </div>`;
}

/** Of which source, and of which time. @param {Source[]} sources @param {string | undefined} source @param {boolean | null} isLately @param {() => void} anew */
function choices(sources, source, isLately, anew) {
  const of = (/** @type {string | undefined} */ time) => () => {
    anew();
    amend({ of: time });
  };
  return html`<div class="tools">
    ${sources.length > 1 && html`<label>Source <select value=${source ?? ""} onChange=${(/** @type {any} */ event) => amend({ source: event.target.value || undefined })}>
      <option value="">all</option>${sources.map(({ name }) => html`<option value=${name}>${name}</option>`)}</select></label>`}
    <div class="switch" role="group" aria-label="Of which time">
      <button aria-pressed=${isLately === false} onClick=${of(undefined)}>since the start</button>
      <button aria-pressed=${isLately === true} onClick=${of("lately")}>last minutes</button></div></div>`;
}

/**
 * The last minutes, second by second, of each source; and one of these seconds, which the rest is about.
 * @param {{ node: Node, sources: Source[], now: number, at: number | null, choose: (at: number | null) => void }} props
 */
function Strips({ node, sources, now, at, choose }) {
  const shown = sources.toSorted((a, b) => b.offered - a.offered).slice(0, STRIPS_MAX).filter(({ offered }) => offered > 0);
  if (shown.length === 0) return null;
  const all = shown.map((source) => ({ source, looks: seconds(node.history.get(`source ${source.name}`)) }));
  const known = all[0].looks.filter((look) => now - look.at < SPAN_MS);
  const place = known.findIndex((look) => look.at === at);
  const step = (/** @type {number} */ to) => choose(known[to]?.at ?? null);
  const ask = (/** @type {string} */ name) => (/** @type {string | null} */ fate) =>
    go(["ask"], { sql: fate ? ofSource(name, fate, SECOND) : bySecond(name) });
  return html`<div class="strips">
    <ul class="legend" aria-label="Fates">${OF_SOURCES.map((fate) => html`<li title=${FATES[fate].about}>
      <i style=${{ background: FATES[fate].colour }}></i>${fate}</li>`)}</ul>
    ${all.map(({ source, looks }) => html`<div><h3>${source.name} <small>${source.unit || "records"} a second, the last ${duration(SPAN_MS / 1000)}</small></h3>
      <${Seconds} seconds=${looks} fates=${OF_SOURCES} until=${now} chosen=${at} label=${source.name} onAsk=${ask(source.name)} /></div>`)}
    ${sources.length > shown.length && html`<p class="axis">Sources to which nothing came, and those beyond ${STRIPS_MAX}, are in the table.</p>`}
    <div class="strip">
      <button aria-label="The second before" disabled=${place === 0 || known.length === 0} onClick=${() => step(place === -1 ? known.length - 1 : place - 1)}>‹</button>
      <button aria-label="The second after" disabled=${place === -1} onClick=${() => step(place + 1)}>›</button>
      <input type="range" aria-label="One second" min="0" max=${known.length} disabled=${known.length === 0} value=${place === -1 ? known.length : place}
        aria-valuetext=${at === null ? "all of the time" : clock(at)} onInput=${(/** @type {any} */ event) => step(Number(event.target.value))} />
      <span class="when">${at === null ? (known.length ? "all of the time" : "seconds are drawn from now on") : `the second until ${clock(at)}`}</span>
      ${at !== null && all.map(({ source }) => html`<a class="link" href=${link(["ask"], { sql: bySecond(source.name) })}>Ask ${all.length > 1 ? `for ${source.name} ` : ""}by second</a>`)}
      ${at !== null && html`<button class="link" onClick=${() => choose(null)}>All of the time</button>`}
    </div>
  </div>`;
}

/**
 * What exporters sent, by their own numbers, in the windows that are kept, or in the one in which a second lies.
 * @param {import("../losses.js").LossWindow[] | null} losses @param {string | undefined} of @param {number | null} at
 */
function exportersOf(losses, of, at) {
  const title = "What exporters sent, and what became of it";
  if (!losses) {
    const sql = ofExporter("", null, "missing", LATELY);
    return html`<section><h2>${title}</h2><p class="nothing">Which exporter lost what on the way, the
      query ${LOSSES} of the starting set adds up; it does not run here. <a href=${link(["ask"], { sql })}>Ask it</a>.</p></section>`;
  }
  const windows = at === null ? losses : losses.filter(({ start, end }) => start < at && at <= end);
  const rows = summed(windows).filter(({ exporter, source }) => exporter !== null && (!of || source === of));
  if (rows.length === 0) {
    const why = losses.length === 0 ? `The first window of the query ${LOSSES} is not closed yet.`
      : at !== null ? `The window in which this second lies is not closed yet, or not kept any more.` : "No exporter has sent anything.";
    return html`<section><h2>${title}</h2><p class="nothing">${why}</p></section>`;
  }
  const accounts = rows.map(({ source, exporter, unit, ...values }) =>
    ({ name: String(exporter), source, unit, values: /** @type {Record<string, number>} */ (values) }));
  const question = (/** @type {string} */ exporter, /** @type {string} */ fate) =>
    ofExporter(accounts.find(({ name }) => name === exporter)?.source ?? "", exporter, fate, LATELY);
  const [first, last] = [windows[0], windows[windows.length - 1]];
  return html`<section><h2>${title} <small>by their own numbers, from ${clock(first.start)} to ${clock(last.end)}</small></h2>
    ${flowOf(accounts, "offered", OF_EXPORTERS, question)}
    ${tableOf(accounts, "offered", OF_EXPORTERS, question, "Exporter")}</section>`;
}

/** @param {Account[]} accounts @param {string} whole @param {string[]} fates @param {Question} question */
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

/** @param {Account[]} accounts @param {string} whole @param {string[]} fates @param {Question} question @param {string} what */
function tableOf(accounts, whole, fates, question, what) {
  const hasMissing = what !== "Query";
  return html`<div class="rows scroll" role="region" aria-label="Figures of each ${what.toLowerCase()}" tabindex="0"><table>
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
