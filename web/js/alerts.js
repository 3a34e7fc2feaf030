/**
 * Alarms that fire, and the lines of configuration by which a query's rows become one.
 *
 * Who is told stands in the node's file, not in the page: a command of it runs with the node's rights, so that nobody
 * writes one from a browser.
 */
import { useEffect, useState } from "../vendor/preact.js";
import { ask } from "./api.js";

/** @typedef {{ sink: string, query: string, key: Record<string, any> | null, since: string, last: string, told: string }} Alert */

const EVERY_MS = 5000;

/** What fires; `null` as long as that was not asked. @returns {Alert[] | null} */
export function useAlerts() {
  const [alerts, setAlerts] = useState(/** @type {Alert[] | null} */ (null));
  useEffect(() => {
    let timer = 0;
    let isGone = false;
    const look = async () => {
      try {
        const answer = await ask("GET", "/api/v1/alerts");
        if (!isGone) setAlerts(answer.alerts);
      } catch {
        // The poller says when the node is gone; what fired then stays.
        if (!isGone) setAlerts((known) => known ?? []);
      }
      if (!isGone) timer = setTimeout(look, EVERY_MS);
    };
    void look();
    return () => {
      isGone = true;
      clearTimeout(timer);
    };
  }, []);
  return alerts;
}

/** The keys of an alarm, as text. @param {Alert} alert */
export const keyOf = ({ key }) => (key ? Object.values(key).map((value) => (value === null ? "NULL" : String(value))).join(" · ") : "");

/** What watches over a query when it stands in the node's file. @param {string} query @param {"webhook" | "command"} kind */
export const linesFor = (query, kind) => `[[sink]]
name = "alert-${query}"
kind = "${kind}"
${kind === "webhook" ? 'url = "https://alerts.example/tapline"' : 'command = ["/usr/local/bin/page"]'}
queries = ["${query}"]
`;
