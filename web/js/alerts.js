/**
 * Alerts: conditions on rows of queries, what fires by them, and the requests that make and drop them.
 *
 * Who is told stands in the node's file, and is named here: a command of it runs with the node's rights, so that nobody
 * writes one from a browser.
 */
import { useEffect, useState } from "../vendor/preact.js";
import { ask } from "./api.js";

/**
 * @typedef {{ query: string, condition: string, key: Record<string, any> | null, since: string, last: string, told: string,
 *   ended: string | null, row: Record<string, any> | null, sinks: string[] }} Alarm
 * @typedef {{ query: string, condition: string, by: string, cool_down: string, resolve_after: number, sinks: string[],
 *   configured: boolean, firing: number }} Rule
 * @typedef {{ alerts: Alarm[], resolved: Alarm[], rules: Rule[], sinks: { name: string, kind: string }[] }} Alerts
 */

const ALERTS = "/api/v1/alerts";
const EVERY_MS = 2000;
/** @type {Alerts} */
const NONE = { alerts: [], resolved: [], rules: [], sinks: [] };

/** @type {Set<() => void>} */
const lookers = new Set();

/** How alerts stand; `null` as long as that was not asked. @returns {Alerts | null} */
export function useAlerts() {
  const [alerts, setAlerts] = useState(/** @type {Alerts | null} */ (null));
  useEffect(() => {
    let timer = 0;
    let isGone = false;
    const look = async () => {
      clearTimeout(timer);
      try {
        const answer = await ask("GET", ALERTS);
        if (!isGone) setAlerts({ ...NONE, ...answer });
      } catch {
        // The poller says when the node is gone; what fired then stays.
        if (!isGone) setAlerts((known) => known ?? NONE);
      }
      clearTimeout(timer);
      if (!isGone) timer = setTimeout(look, EVERY_MS);
    };
    lookers.add(look);
    void look();
    return () => {
      isGone = true;
      lookers.delete(look);
      clearTimeout(timer);
    };
  }, []);
  return alerts;
}

/** Whoever shows alerts looks at once. */
const lookAgain = () => lookers.forEach((look) => look());

/** @param {string} query @param {string} condition @param {{ by: string, sinks: string[], cool_down: string | null }} how */
export async function addAlert(query, condition, how) {
  await ask("POST", ALERTS, { body: { query, condition, ...how } });
  lookAgain();
}

/** @param {Rule} rule */
export async function dropAlert({ query, condition }) {
  await ask("DELETE", `${ALERTS}?${new URLSearchParams({ query, condition })}`);
  lookAgain();
}

/** A condition as the node reads it; without a column, each row is an alarm. @param {string} column @param {string} comparison @param {string} value */
export function conditionOf(column, comparison, value) {
  if (!column) return "rows";
  const name = /^[\p{L}\p{N}_]+$/u.test(column) ? column : `"${column.replaceAll('"', '""')}"`;
  return `${name} ${comparison} ${value.trim()}`;
}

/** The same in words. @param {string} condition */
export const wordsOf = (condition) => (condition === "rows" ? "a row appears" : condition);

const text = (/** @type {any} */ value) => (value === null ? "NULL" : String(value));

/** The keys of an alarm, as text. @param {Alarm} alarm */
export const keyOf = ({ key }) => (key ? Object.values(key).map(text).join(" · ") : "");

/** What else its newest row says. @param {Alarm} alarm */
export const restOf = ({ key, row }) =>
  Object.entries(row ?? {}).filter(([name]) => !(name in (key ?? {}))).map(([name, value]) => `${name} ${text(value)}`).join(", ");
