/**
 * The first screen: what the box sees and misses, its sources, its queries, and what one may ask.
 */
import { html } from "../../vendor/preact.js";
import { keyOf, restOf, useAlerts, wordsOf } from "../alerts.js";
import { Spark } from "../charts/spark.js";
import { cell, clock, duration, exact, percent, short, unitOf } from "../format.js";
import { useLatest, worstOf } from "../latest.js";
import { useLosses } from "../losses.js";
import { missing, useNode } from "../poll.js";
import { questionsFor } from "../questions.js";
import { Quality, stateOf } from "../quality.js";
import { rateNow, rates } from "../rates.js";
import { link } from "../router.js";
import { isSilent, missingPart, rateOf, sentence, whyNothing } from "../sentence.js";
import { measureOf, rolesOf } from "../shape.js";

/** @typedef {import("../poll.js").Node} Node */
/** @typedef {import("../poll.js").Source} Source */
/** @typedef {import("../poll.js").Query} Query */

export function Now() {
  const node = useNode();
  const latest = useLatest(node.status?.queries ?? []);
  const losses = useLosses(node);
  const alerts = useAlerts();
  const said = sentence(node, losses, worstOf(node.status?.queries ?? []));
  const sources = node.status?.sources ?? [];
  const silent = sources.filter((source) => isSilent(node, source) || source.state !== "open");
  const head = html`<header class="said-first"><h1 class="sentence ${said.tone}"><i aria-hidden="true"></i><span>${said.text}</span></h1>
    <p class=${said.tone}>${said.missed || (node.status ? standing(node.status.queries) : "")}</p></header>`;
  // All at once, so that nothing moves.
  if (!node.status || !alerts) return html`<div class="now">${head}</div>`;
  return html`<div class="now">
    ${head}
    ${silent.length > 0 && silent.length === sources.length && html`<${Silence} sources=${silent} />`}
    ${alerts.alerts.length + alerts.resolved.length > 0
      && html`<section><h2>Alarms <small>${alerts.alerts.length}</small></h2>${alarmsOf(alerts, Date.parse(node.status.now))}</section>`}
    <section><h2>Sources</h2>${sourcesOf(node, sources)}</section>
    <section><h2>Ask</h2>${questionsOf(sources)}</section>
    <section><h2>Queries <small>${node.status.queries.length}</small></h2>${queriesOf(node, node.status, latest)}</section>
  </div>`;
}

/** @param {Query[]} queries */
function standing(queries) {
  const counts = ["running", "waiting", "failed"].map((state) => [queries.filter((query) => query.state === state).length, state]);
  const said = counts.filter(([count]) => count).map(([count, state]) => `${count} ${state}`);
  return said.length ? `Queries: ${said.join(", ")}.` : "No query runs.";
}

/** @param {{ sources: Source[] }} props */
function Silence({ sources }) {
  return html`<section class="silence" role="status"><h2>Why nothing comes</h2><dl>${sources.map((source) => {
    const { why, mend } = whyNothing(source);
    return html`<dt>${source.name}</dt><dd>${why} <span>${mend}</span></dd>`;
  })}</dl></section>`;
}

/** @param {Node} node @param {Source[]} sources */
function sourcesOf(node, sources) {
  return html`<div class="rows scroll" role="region" aria-label="Sources" tabindex="0"><table class="sources">
    <thead><tr><th scope="col">Source</th><th scope="col">State</th><th scope="col" class="number">Now</th>
      <th scope="col">Two minutes</th><th scope="col" class="number">Offered</th><th scope="col" class="number">Delivered</th>
      <th scope="col" class="number">Lost</th><th scope="col" class="number">Dropped</th>
      <th scope="col" class="number">Undecodable</th><th scope="col" class="number">Missing</th></tr></thead>
    <tbody>${sources.map((source) => sourceOf(node, source))}</tbody></table></div>`;
}

/** @param {Node} node @param {Source} source */
function sourceOf(node, source) {
  const samples = node.history.get(`source ${source.name}`);
  const part = missingPart(source);
  const unit = source.unit || "records";
  const bad = rates(samples, (values) => missing(/** @type {any} */ (values)));
  const figure = (/** @type {number} */ value, /** @type {boolean} */ isBad) =>
    html`<td class="number ${isBad && value > 0 ? "bad" : ""}" title=${exact(value)}>${short(value)}</td>`;
  return html`<tr>
    <th scope="row">${source.name}<small>${source.kind}</small>${source.filter
      && html`<small class="note" title=${source.filter}>only ${source.filter}</small>`}${source.rules_in_force > 0
      && html`<small class="note" title=${(source.rules ?? []).join("\n")}>${exact(source.rules_in_force)} rules</small>`}</th>
    <td>${stateOf(source.state, source.reason)}</td>
    <td class="number"><b>${short(rateOf(node, source))}</b><small>${unit}/s</small></td>
    <td><${Spark} points=${rates(samples, (values) => values.delivered)} bad=${bad} label=${source.name} unit=${unit} /></td>
    ${figure(source.offered, false)}${figure(source.delivered, false)}${figure(source.lost, true)}
    ${figure(source.dropped, true)}${figure(source.undecodable, true)}
    <td class="number"><a class=${part > 0 ? "bad" : ""} href=${link(["account"])}
      title="Of what was offered; of exporters, by their own numbers">${source.offered ? percent(part) : "–"}</a></td>
  </tr>`;
}

/** Alarms that are drawn, and those of them that are over; all of them are in the table `alerts`. */
const ALARMS_MAX = 20;
const PAST_MAX = 5;

/** @param {import("../alerts.js").Alerts} all @param {number} now */
function alarmsOf({ alerts, resolved }, now) {
  const shown = [...alerts.slice(0, ALARMS_MAX), ...resolved.slice(0, PAST_MAX)];
  return html`<div class="rows scroll" role="region" aria-label="Alarms" tabindex="0"><table class="alarms">
    <thead><tr><th scope="col">Query</th><th scope="col">When</th><th scope="col">Of what</th><th scope="col">Newest row</th>
      <th scope="col">Fires for</th><th scope="col">Last rows</th><th scope="col">Told by</th></tr></thead>
    <tbody>${shown.map((alarm) => html`<tr class=${alarm.ended ? "past" : ""}>
      <th scope="row"><span class="state ${alarm.ended ? "resolved" : "firing"}"><i aria-hidden="true"></i></span> <a href=${link(["query", alarm.query])}>${alarm.query}</a></th>
      <td>${wordsOf(alarm.condition)}</td><td class="key">${keyOf(alarm) || "all of it"}</td><td>${restOf(alarm)}</td>
      <td title=${alarm.since}>${alarm.ended ? `over at ${clock(Date.parse(alarm.ended), now)}` : duration((now - Date.parse(alarm.since)) / 1000)}</td>
      <td title=${alarm.last}>until ${clock(Date.parse(alarm.last), now)}</td><td>${alarm.sinks.join(", ") || "this page"}</td></tr>`)}</tbody></table>
    ${alerts.length > ALARMS_MAX && html`<p class="axis">${exact(alerts.length - ALARMS_MAX)} more fire: <code>tapline alerts</code>.</p>`}</div>`;
}

/** @param {Source[]} sources */
const questionsOf = (sources) => html`<ul class="questions">${questionsFor(sources).map(({ title, about, sql }) =>
  html`<li><a href=${link(["ask"], { sql })}><b>${title}</b><span>${about}</span></a></li>`)}</ul>`;

/** @param {Node} node @param {import("../poll.js").Status} status @param {(name: string) => import("../latest.js").Latest | undefined} latest */
function queriesOf(node, status, latest) {
  const { queries } = status;
  if (queries.length === 0) return html`<p class="nothing">No query runs. Ask a question, and keep it.</p>`;
  const now = Date.parse(status.now);
  return html`<div class="rows scroll" role="region" aria-label="Queries" tabindex="0"><table class="queries">
    <thead><tr><th scope="col">Query</th><th scope="col">Last value</th><th scope="col">Window ended</th>
      <th scope="col">Seen</th><th scope="col">State</th><th scope="col" class="number">Rows</th></tr></thead>
    <tbody>${queries.map((query) => queryOf(node, query, latest(query.name), now))}</tbody></table></div>`;
}

/** @param {Node} node @param {Query} query @param {import("../latest.js").Latest | undefined} latest @param {number} now */
function queryOf(node, query, latest, now) {
  const ended = query.last_window_end ? Date.parse(query.last_window_end) : null;
  const rate = rateNow(node.history.get(`query ${query.name}`), "delivered");
  const window = latest?.window;
  return html`<tr>
    <th scope="row"><a href=${link(["query", query.name])}>${query.name}</a>${query.options.note
      && html`<small class="note" title=${query.options.note}>${query.options.note}</small>`}</th>
    <td class="last">${latest && window ? valueOf(query, latest.schema, window) : html`<span class="quiet">–</span>`}</td>
    <td>${ended === null ? html`<span class="quiet">no window yet</span>`
      : html`<span title=${query.last_window_end}>${duration((now - ended) / 1000)} ago</span>`}</td>
    <td>${window && window.window_start !== null && html`<${Quality} window=${window} isShort=${true} />`}</td>
    <td>${stateOf(query.state)}${query.reason && html`<small class="reason" title=${query.reason}>${query.reason}</small>`}</td>
    <td class="number"><b>${short(rate)}</b><small>/s</small></td>
  </tr>`;
}

/** The newest value, and whose it is. @param {Query} query @param {import("../api.js").Column[]} schema @param {import("../events.js").Window} window */
function valueOf(query, schema, window) {
  const roles = rolesOf(schema, query.sql);
  const measure = measureOf(roles, query.sql);
  const value = (/** @type {Record<string, any>} */ row) => (measure ? Number(row[measure.name] ?? 0) : 0);
  const top = measure ? window.rows.toSorted((a, b) => value(b) - value(a))[0] : window.rows[0];
  if (!top) return html`<span class="quiet">no rows</span>`;
  const key = roles.keys.slice(0, 2).map((column) => cell(top[column.name], column)).join(" → ");
  const title = `${window.rows.length} rows in the window until ${clock(Date.parse(window.window_end ?? ""))}`;
  return html`<span title=${title}>${measure && html`<b>${short(top[measure.name], unitOf(measure.name).unit)}</b>`}
    <span class="key">${key || measure?.name}</span></span>`;
}
