/**
 * Each screen in each of its states: loading, empty, in error, incomplete; each has a shot, and nobody is shut out.
 */
import assert from "node:assert/strict";
import { JUMPS_MAX, WINDOW_MS, faults, jumps, open } from "./browser.mjs";

const NOTHING_SQL = "SELECT src_ip, sum(octets) AS octets FROM flows GROUP BY src_ip, tumble('1 second')";

/** Requests that are answered by nobody, and that are refused. */
const held = (page) => page.route("**/api/**", () => {});
const refused = (page, path) => page.route(path, (route) =>
  route.fulfill({ status: 503, contentType: "application/problem+json", body: JSON.stringify({ detail: "as many statements work as may" }) }));
const gone = (page) => page.route("**/api/**", (route) => route.abort());

const has = (selector, text) => (page) => page.locator(selector, { hasText: text }).first().waitFor({ timeout: WINDOW_MS });
const run = (page) => page.getByRole("button", { name: "Run", exact: true }).click();
const ask = (sql) => `ask?sql=${encodeURIComponent(sql)}`;

/**
 * Where, on which node, what is done to its requests before and once it is there, and what is seen then.
 * Where something is refused, the browser itself says so on its console.
 */
const cases = [
  { state: "loading", screen: "now", before: held, sees: has(".sentence", "Asking the node") },
  { state: "loading", screen: "ask", before: held, sees: has(".draw .nothing", "The plan is drawn here") },
  { state: "loading", screen: "account", before: held, sees: has(".nothing", "Asking the node") },
  { state: "loading", screen: "query/shape_stack", before: held, sees: has(".nothing", "Asking the node") },
  { state: "empty", screen: "now", isIdle: true, sees: has(".silence dd", "No datagram") },
  { state: "empty", screen: ask(NOTHING_SQL), isIdle: true, then: run, sees: has(".said.running", "Waiting") },
  { state: "empty", screen: "account", isIdle: true, sees: has(".nothing", "Nothing so far") },
  { state: "empty", screen: "query/nothing", isIdle: true, sees: has(".nothing", "No row has reached it") },
  { state: "error", screen: "now", before: gone, sees: has(".sentence.bad", "does not answer"), isRefused: true },
  { state: "error", screen: ask(NOTHING_SQL), before: (page) => refused(page, "**/api/v1/preview"), then: run, sees: has(".said.failed", "as many statements"), isRefused: true },
  { state: "error", screen: "account", then: gone, sees: has(".banner", "as it was then"), isRefused: true },
  { state: "error", screen: "query/nobody", sees: has(".nothing", "There is no query"), isRefused: true },
  { state: "error", screen: "query/shape_flow", before: (page) => page.route("**/stream*", (route) => route.abort()), sees: has(".banner", "trying again"), isRefused: true },
  { state: "incomplete", screen: "now", sees: has(".sentence.bad", "complete") },
  { state: "incomplete", screen: ask(NOTHING_SQL), then: run, sees: has(".preview .quality.hatched", "complete") },
  { state: "incomplete", screen: "account", sees: (page) => page.locator(".seconds .fate.lost").first().waitFor({ timeout: WINDOW_MS }) },
  { state: "incomplete", screen: "query/shape_stack", sees: has(".quality.hatched", "complete") },
];

/** @param {{ browser: any, busy: string, idle: string, shoot: (page: any, name: string) => Promise<void> }} with */
export async function everyState({ browser, busy, idle, shoot }) {
  const body = JSON.stringify({ name: "nothing", sql: NOTHING_SQL });
  await fetch(`${idle}/api/v1/queries`, { method: "POST", headers: { "content-type": "application/json" }, body });
  for (const { state, screen, isIdle, before, then, sees, isRefused } of cases) {
    const url = isIdle ? idle : busy;
    const { page, context, wrongs } = await open(browser, url);
    await before?.(page);
    await page.goto(`${url}/#/${screen}`);
    await page.locator("main h1").first().waitFor({ state: "attached" });
    await then?.(page);
    const name = `state-${screen.split(/[?]/)[0].replace("/", "-")}-${state}`;
    await sees(page).catch((error) => {
      throw new Error(`${name}: ${error.message}`);
    });
    assert.deepEqual(await faults(page), [], name);
    assert.ok((await jumps(page)) <= JUMPS_MAX, `${name}: the layout jumps by ${await jumps(page)}`);
    const own = wrongs.filter((wrong) => !isRefused || !wrong.includes("Failed to load resource"));
    assert.deepEqual(own, [], name);
    await shoot(page, name);
    await context.close();
  }
}
