/**
 * A browser that watches itself: what is loaded from elsewhere, and what is said on its console, is kept.
 */
import { createRequire } from "node:module";
import { mkdirSync } from "node:fs";
import { join } from "node:path";

const require = createRequire(join(process.env.TAPLINE_BROWSER, "package.json"));
const { chromium } = require("playwright-core");
const axe = require("axe-core").source;

export const WIDE = { width: 1280, height: 900 };
export const PHONE = { width: 380, height: 780 };

/** By Google's measure, 0.1 is good; nothing here should move at all. */
export const JUMPS_MAX = 0.02;

/** How long anything may take that depends on windows that close. */
export const WINDOW_MS = 45_000;

/** Starts Chromium, which is root's sandbox away from home in tests. */
export const start = () => chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox"] });

/** A page of its own, which keeps what it should not have done. */
export async function open(browser, url, { viewport = WIDE, colorScheme = "light" } = {}) {
  const context = await browser.newContext({ viewport, colorScheme, locale: "en-GB", timezoneId: "UTC" });
  const page = await context.newPage();
  page.setDefaultTimeout(45_000);
  const wrongs = [];
  const host = new URL(url).host;
  page.on("request", (request) => {
    const asked = new URL(request.url());
    if (!["data:", "blob:"].includes(asked.protocol) && asked.host !== host) wrongs.push(`asks ${request.url()}`);
  });
  page.on("pageerror", (error) => wrongs.push(`throws ${error.stack ?? error}`));
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) wrongs.push(`says ${message.text()} (${message.location().url})`);
  });
  return { page, context, wrongs };
}

/** What axe finds that is serious. */
export async function faults(page) {
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ["violations"] }));
  return violations
    .filter(({ impact }) => impact === "serious" || impact === "critical")
    .map(({ id, help, nodes }) => `${id}: ${help}: ${nodes.slice(0, 3).map((node) => `${node.target} ${node.any[0]?.message ?? ""}`).join(" | ")}`);
}

/** Shots of a page: as it is, dark, and on a phone. */
export function shooter(folder) {
  mkdirSync(folder, { recursive: true });
  return async (page, name) => {
    await page.waitForTimeout(150);
    await page.screenshot({ path: join(folder, `${name}.png`), fullPage: true });
  };
}

/** When the first paint was, in milliseconds since the navigation began. */
export async function firstPaint(page) {
  const found = await page.waitForFunction(() => performance.getEntriesByName("first-contentful-paint")[0]?.startTime);
  return Math.round(await found.jsonValue());
}

/** What the first paint waited for: what blocks it, and all that had come by then. */
export const waitedFor = (page) => page.evaluate(() => {
  const painted = performance.getEntriesByName("first-contentful-paint")[0].startTime;
  const all = performance.getEntriesByType("resource");
  const path = ({ name }) => new URL(name).pathname;
  return {
    blocking: all.filter((entry) => entry.renderBlockingStatus === "blocking").map(path),
    asked: all.filter(({ startTime }) => startTime < painted).map(path),
  };
});

/** How much the layout has jumped so far. */
export const jumps = (page) => page.evaluate(() => new Promise((resolve) => {
  let sum = 0;
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) if (!entry.hadRecentInput) sum += entry.value;
  }).observe({ type: "layout-shift", buffered: true });
  setTimeout(() => resolve(sum), 100);
}));
