/**
 * The alerts of a query: a form that makes one, those that there are, and what fires by them.
 */
import { html, useState } from "../../vendor/preact.js";
import { addAlert, conditionOf, dropAlert, keyOf, restOf, useAlerts, wordsOf } from "../alerts.js";
import { clock } from "../format.js";
import { stateOf } from "../quality.js";
import { rolesOf } from "../shape.js";

/** @typedef {import("../poll.js").Query} Query */
/** @typedef {import("../api.js").Column} Column */
/** @typedef {import("../alerts.js").Rule} Rule */

const COMPARISONS = [[">", "above"], [">=", "at least"], ["<", "below"], ["<=", "at most"], ["=", "equal to"], ["<>", "other than"]];
/** Alarms that are drawn; all of them are in the table `alerts`. */
const ALARMS_MAX = 20;

/** Makes an alert of a query's rows. @param {{ query: Query, schema: Column[], onClose: () => void }} props */
export function AlertForm({ query, schema, onClose }) {
  const alerts = useAlerts();
  const [column, setColumn] = useState("");
  const [said, say] = useState("");
  const { columns, keys } = rolesOf(schema, query.sql);
  const numbers = columns.filter(({ type }) => /^(U?Int|Float|Decimal)/.test(type));
  const make = async (/** @type {any} */ event) => {
    event.preventDefault();
    const form = new FormData(event.target);
    const field = (/** @type {string} */ name) => form.get(name)?.toString() ?? "";
    const condition = conditionOf(column, field("comparison"), field("value"));
    try {
      const sinks = form.getAll("sink").map(String);
      await addAlert(query.name, condition, { by: field("by") || "key", cool_down: field("cool_down").trim() || null, sinks });
      onClose();
    } catch (error) {
      say(/** @type {Error} */ (error).message);
    }
  };
  return html`<form class="alert" aria-label="Alert me" onSubmit=${make}>
    <label>Alert me when <select name="column" value=${column} autofocus onChange=${(/** @type {any} */ event) => setColumn(event.target.value)}>
      <option value="">a row appears</option>${numbers.map(({ name }) => html`<option value=${name}>${name} is …</option>`)}</select></label>
    ${column && html`<select name="comparison" aria-label="Comparison">${COMPARISONS.map(([sign, words]) => html`<option value=${sign}>${words}</option>`)}</select>
      <input name="value" type="number" step="any" required aria-label="Number" placeholder="1000" />`}
    ${keys.length > 0 && html`<select name="by" aria-label="What is one alarm"><option value="key">for each ${keys.map(({ name }) => name).join(", ")}</option>
      <option value="whole">for all of them at once</option></select>`}
    ${(alerts?.sinks ?? []).map(({ name, kind }) => html`<label class="check" title=${kind}><input type="checkbox" name="sink" value=${name} /> tell ${name}</label>`)}
    <label>again after <input name="cool_down" class="tight" placeholder="5m" autocomplete="off" /></label>
    <button class="main">Alert me</button> <button type="button" onClick=${onClose}>Leave it</button>
    <p class="said">It is shown on the first screen${alerts?.sinks.length ? "." : html`; to be told elsewhere, name a <code>[[sink]]</code> in the node's file.`}</p>
    <p class="problem" role="alert">${said}</p>
  </form>`;
}

/** Those of a query, and what fires by them. @param {{ query: Query }} props */
export function Alerts({ query }) {
  const alerts = useAlerts();
  const [said, say] = useState("");
  const rules = (alerts?.rules ?? []).filter((rule) => rule.query === query.name);
  if (!alerts || rules.length === 0) return null;
  const of = (/** @type {import("../alerts.js").Alarm[]} */ alarms) => alarms.filter((alarm) => alarm.query === query.name);
  const alarms = [...of(alerts.alerts), ...of(alerts.resolved)];
  const drop = (/** @type {Rule} */ rule) => dropAlert(rule).then(() => say(""), (error) => say(error.message));
  return html`<section class="alarm" aria-label="Alerts"><h2>Alerts</h2>
    <ul>${rules.map((rule) => html`<li class="chip"><code title=${rule.condition}>${wordsOf(rule.condition)}</code>
      <small>${rule.sinks.length ? `told by ${rule.sinks.join(", ")}` : "shown here"}${rule.configured ? ", by the node's file" : ""}</small>
      ${!rule.configured && html`<button aria-label="Drop the alert on ${rule.condition}" title="Drop it" onClick=${() => drop(rule)}>×</button>`}</li>`)}</ul>
    <p class="problem" role="alert">${said}</p>
    ${alarms.length > 0 && html`<${Alarms} alarms=${alarms} />`}
  </section>`;
}

/** @param {{ alarms: import("../alerts.js").Alarm[] }} props */
function Alarms({ alarms }) {
  return html`<div class="rows scroll" role="region" aria-label="Alarms" tabindex="0"><table class="alarms">
    <thead><tr><th scope="col">State</th><th scope="col">Of what</th><th scope="col">Newest row</th><th scope="col">Since</th><th scope="col">Over</th></tr></thead>
    <tbody>${alarms.slice(0, ALARMS_MAX).map((alarm) => html`<tr class=${alarm.ended ? "past" : ""}>
      <td>${stateOf(alarm.ended ? "resolved" : "firing")}</td><td class="key">${keyOf(alarm) || "all of it"}</td><td>${restOf(alarm)}</td>
      <td title=${alarm.since}>${clock(Date.parse(alarm.since))}</td><td>${alarm.ended ? clock(Date.parse(alarm.ended)) : "–"}</td></tr>`)}</tbody></table></div>`;
}
