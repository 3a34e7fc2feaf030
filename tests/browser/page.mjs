/**
 * What a person does on the page, step by step.
 *
 * Arguments: the address of a node to which exports come, that of one to which nothing comes, a folder for screenshots.
 */
import assert from "node:assert/strict";
import { JUMPS_MAX, PHONE, WINDOW_MS, faults, firstPaint, jumps, open, shooter, start, waitedFor } from "./browser.mjs";
import { everyState } from "./states.mjs";

const [busy, idle, folder] = process.argv.slice(2);
const shoot = shooter(folder);
/** What the first paint may wait for: the style, and nothing else. */
const BLOCKING = ["/style.css"];
/** How many files may be asked for before it. */
const ASKED_MAX = 24;

const ANSWERS = [
  ["number", "SELECT count(*) AS records FROM flows GROUP BY tumble('1 second')"],
  ["stack", "SELECT src_as, sum(octets) AS octets FROM flows GROUP BY src_as, tumble('1 second')"],
  ["flow", "SELECT src_as, dst_as, sum(octets) AS octets FROM flows GROUP BY src_as, dst_as, tumble('1 second')"],
  ["rows", "SELECT src_ip, dst_ip, dst_port, octets FROM flows WHERE octets > 1000"],
];

/** Who tells of flows to several others within a second: the port sweep of the demonstration, made quick. */
const SWEEP = "SELECT src_as, count(*) AS probes FROM (SELECT src_as, dst_as FROM flows GROUP BY src_as, dst_as, tumble('1 second')) "
  + "GROUP BY src_as HAVING count(*) >= 2";

const browser = await start();
const step = async (name, what) => {
  const started = Date.now();
  try {
    await what();
  } catch (error) {
    console.error(`failed: ${name}`);
    throw error;
  }
  console.log(`ok: ${name} (${Date.now() - started} ms)`);
};

/** Asserts that a page did nothing wrong, and that everybody can use it. */
async function isRight({ page, wrongs }) {
  assert.deepEqual(await faults(page), []);
  assert.deepEqual(wrongs, []);
}

async function add(name, sql) {
  const body = JSON.stringify({ name, sql, options: { note: `Asked as ${name}.` } });
  const answer = await fetch(`${busy}/api/v1/queries`, { method: "POST", headers: { "content-type": "application/json" }, body });
  assert.ok(answer.ok, await answer.text());
}

/** Puts another text into the editor, as somebody would who types. */
async function write(page, sql) {
  await page.locator(".cm-content").click();
  await page.keyboard.press("Control+a");
  await page.keyboard.press("Delete");
  await page.keyboard.insertText(sql);
  await page.keyboard.press("Escape");
}

const text = (page, selector) => page.locator(selector).first().textContent();
const sqlOf = (page) => page.evaluate(() => new URLSearchParams(location.hash.split("?")[1]).get("sql"));

try {
  for (const [name, sql] of ANSWERS) await add(`shape_${name}`, sql);
  const person = await open(browser, busy);
  const { page, context } = person;

  await step("the first screen says what the box sees and misses", async () => {
    const paints = [];
    for (let time = 0; time < 5; time += 1) {
      // Each has a cache of its own, which is empty.
      const other = await open(browser, busy);
      await other.page.goto(busy);
      paints.push(await firstPaint(other.page));
      const { blocking, asked } = await waitedFor(other.page);
      assert.deepEqual(blocking, BLOCKING);
      assert.ok(asked.length <= ASKED_MAX, asked.join());
      await other.context.close();
    }
    console.log(`first paint after ${paints.join(", ")} ms`);
    await page.goto(busy);
    await page.locator(".sentence", { hasText: /listener for flow exports, [\d,]+ \w+\/s/ }).waitFor();
    // The query that knows has windows of a minute.
    await page.locator(".said-first p", { hasText: /lost [\d.]+\s%/ }).waitFor({ timeout: 2 * WINDOW_MS });
    assert.match(await text(page, ".sources tbody tr"), /flow exports/);
    assert.equal(await page.locator(".questions a").count(), 8);
    await page.locator(".queries tr", { hasText: "shape_stack" }).locator(".quality").waitFor({ timeout: WINDOW_MS });
    assert.ok((await jumps(page)) <= JUMPS_MAX, `the layout jumps: ${await jumps(page)}`);
    await isRight(person);
    await shoot(page, "now");
  });

  await step("a question opens with its plan, and runs", async () => {
    await page.locator(".questions a", { hasText: "Who sends most?" }).click();
    await page.locator(".cm-content", { hasText: "SELECT src_ip" }).waitFor();
    await page.locator(".draw", { hasText: "udp://" }).waitFor();
    await page.getByLabel("each").selectOption("1 second");
    assert.match(await sqlOf(page), /tumble\('1 second'\)/);
    await page.getByRole("button", { name: "Run", exact: true }).click();
    await page.locator(".said", { hasText: "3 of 3 windows" }).waitFor({ timeout: WINDOW_MS });
    await page.locator(".preview .legend li").first().waitFor();
    await isRight(person);
    await shoot(page, "ask");
  });

  await step("what is wrong is said at its place", async () => {
    await write(page, "SELECT src_ip, sum(octet) AS octets\nFROM flows\nGROUP BY src_ip, tumble('1 second')");
    await page.locator(".write .problem", { hasText: "Line 1, column 20" }).waitFor();
    assert.equal(await page.locator(".cm-lintRange-error").textContent(), "octet");
    assert.ok(await page.getByRole("button", { name: "Run", exact: true }).isDisabled());
    await shoot(page, "error");
    assert.deepEqual(await faults(page), []);
    // What is refused is said on the console as well, by the browser itself.
    assert.ok(person.wrongs.every((wrong) => wrong.includes("status of 400")), person.wrongs.join());
    person.wrongs.length = 0;
  });

  await step("columns and functions are completed", async () => {
    await write(page, "SELECT  FROM flows");
    await page.keyboard.press("Home");
    for (let place = 0; place < 7; place += 1) await page.keyboard.press("ArrowRight");
    await page.keyboard.type("dst_po", { delay: 40 });
    await page.locator(".cm-tooltip-autocomplete li", { hasText: "dst_port" }).first().waitFor();
    await shoot(page, "completion");
    await page.keyboard.press("Enter");
    assert.match(await page.locator(".cm-content").textContent(), /SELECT dst_port FROM flows/);
    person.wrongs.length = 0;
  });

  await step("it is kept, and its result comes by itself", async () => {
    await write(page, "SELECT dst_as, sum(octets) AS octets\nFROM flows\nGROUP BY dst_as, tumble('1 second')");
    await page.getByLabel("Name").fill("by_destination");
    await page.getByLabel("Note").fill("Who gets most.");
    await page.getByRole("button", { name: "Keep" }).click();
    await page.locator("h1", { hasText: "by_destination" }).waitFor();
    await page.locator(".legend li").nth(5).waitFor({ timeout: WINDOW_MS });
    await page.locator(".rows td.measure").first().waitFor();
    await page.waitForTimeout(4000);
    await isRight(person);
    await shoot(page, "query");
  });

  await step("a key is included, and with Alt excluded", async () => {
    const key = page.locator("td.key .pick").first();
    const value = await key.textContent();
    await key.click();
    await page.locator(".cm-content", { hasText: `WHERE dst_as = ${value}` }).waitFor();
    await page.goBack();
    await page.locator("td.key .pick", { hasText: value }).first().click({ modifiers: ["Alt"] });
    await page.locator(".cm-content", { hasText: `WHERE dst_as IS DISTINCT FROM ${value}` }).waitFor();
    await page.getByRole("button", { name: `Leave out dst_as IS DISTINCT FROM ${value}` }).click();
    assert.doesNotMatch(await sqlOf(page), /WHERE/);
  });

  await step("each shape is drawn", async () => {
    for (const [name] of ANSWERS) {
      await page.goto(`${busy}/#/query/shape_${name}`);
      await page.locator("h1", { hasText: `shape_${name}` }).waitFor();
      await page.locator(".result .rows tbody tr").first().waitFor({ timeout: WINDOW_MS });
      await page.waitForTimeout(2500);
      await shoot(page, `shape-${name}`);
      await isRight(person);
    }
    await page.goto(`${busy}/#/query/shape_flow`);
    await page.locator(".flow .node").nth(3).waitFor();
    await page.getByRole("button", { name: "Heat map" }).click();
    await page.locator(".heat td").first().waitFor();
    await page.getByLabel("Beside it").selectOption("window");
    await page.locator(".rows th", { hasText: "previous" }).waitFor();
    await shoot(page, "shape-matrix");
    await isRight(person);
    await page.goto(`${busy}/#/query/shape_rows`);
    await page.locator(".rows td.key").first().waitFor();
  });

  await step("what was before stands beside it, where it is known", async () => {
    for (const name of ["shape_number", "shape_stack"]) {
      await page.goto(`${busy}/#/query/${name}?beside=window`);
      await page.locator(".strip .when").waitFor();
      await page.waitForTimeout(2500);
      await shoot(page, `beside-${name}`);
    }
    await page.locator(".rows th", { hasText: "previous" }).waitFor();
    await page.locator(".legend li", { hasText: "all of it, the window before" }).locator("b", { hasText: /B$/ }).waitFor();
    await page.getByLabel("Beside it").selectOption("week");
    await page.locator(".tools [role=status]", { hasText: "not known" }).waitFor();
    await isRight(person);
  });

  await step("rows are sorted by their heads, and kept as CSV", async () => {
    await page.goto(`${busy}/#/query/shape_stack`);
    await page.getByRole("button", { name: "Newest" }).or(page.locator(".strip .when")).first().waitFor();
    await page.locator(".strip button").first().click();
    const figures = () => page.locator("td.measure").evaluateAll((cells) => cells.map((cell) => Number(cell.title)));
    const first = await figures();
    assert.ok(first.length > 3);
    assert.deepEqual(first, first.toSorted((a, b) => b - a), "what is in no order is sorted by its measure");
    await page.locator("thead button", { hasText: "octets" }).click();
    assert.deepEqual(await figures(), first.toReversed());
    const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name: "CSV" }).click()]);
    assert.equal(download.suggestedFilename(), "shape_stack.csv");
  });

  await step("the account leads to its questions", async () => {
    await page.getByRole("link", { name: "Account" }).click();
    await page.locator(".flow .node").first().waitFor();
    await isRight(person);
    await shoot(page, "account");
    await page.locator(".seconds .fate.delivered").nth(3).waitFor();
    const second = page.getByLabel("One second");
    await second.focus();
    await page.keyboard.press("ArrowLeft");
    await page.locator("h2", { hasText: "in the second until" }).first().waitFor();
    assert.match(await second.getAttribute("aria-valuetext"), /^\d\d:\d\d:\d\d$/);
    await shoot(page, "account-second");
    await page.getByRole("button", { name: "All of the time" }).click();
    await page.locator(".seconds .fate.lost").last().click({ force: true });
    await page.locator(".cm-content", { hasText: "sum(lost) AS lost" }).waitFor();
    assert.match(await sqlOf(page), /tumble\('1 second'\)/);
    await page.goBack();
    await page.locator(".flow a[aria-label*=' lost']").first().focus();
    await page.keyboard.press("Enter");
    await page.locator(".cm-content", { hasText: "FROM ledger" }).waitFor();
    await page.locator(".draw .from", { hasText: "From" }).waitFor();
    assert.equal(await page.locator(".write > .problem").textContent(), "");
  });

  await step("boxes are changed where they are clicked, and by keyboard", async () => {
    const sql = "SELECT src_ip, count(*) AS probes\nFROM (SELECT src_ip, dst_ip FROM flows WHERE packets = 1 GROUP BY src_ip, dst_ip, tumble('60 seconds'))\n"
      + "GROUP BY src_ip HAVING count(*) >= 500";
    await page.goto(`${busy}/#/ask?sql=${encodeURIComponent(sql)}`);
    const change = page.locator(".change");
    // Of the question that was there before, a box may still stand there.
    await page.locator(".draw .box.filter", { hasText: "packets = 1" }).click();
    await change.getByLabel("Column").fill("dst_port");
    await change.getByLabel("Value").fill("443");
    await change.getByRole("button", { name: "Add" }).click();
    await page.locator(".draw .box", { hasText: "packets = 1 AND dst_port = 443" }).waitFor();
    await isRight(person);
    await shoot(page, "change");
    await page.keyboard.press("Escape");
    await change.waitFor({ state: "detached" });
    await page.locator(".draw .box.window.acts").first().focus();
    await page.keyboard.press("Enter");
    await change.getByRole("button", { name: "10 seconds" }).press("Enter");
    await page.locator(".draw .box", { hasText: "tumble 10 seconds" }).waitFor();
    await page.keyboard.press("Escape");
    // Above the window it is the SELECT of the result that is meant.
    await page.locator(".draw .box.aggregate").last().click();
    await change.getByLabel("An aggregate").fill("nonsense");
    await change.getByRole("button", { name: "Add" }).last().click();
    await change.locator(".problem", { hasText: "is no aggregate" }).waitFor();
    await change.locator(".chip", { hasText: "count(*) AS probes" }).waitFor();
    await page.keyboard.press("Escape");
    assert.match(await sqlOf(page), /WHERE packets = 1 AND dst_port = 443 GROUP BY src_ip, dst_ip, tumble\('10 seconds'\)/);
    person.wrongs.length = 0;
  });

  await step("a person makes an alert of the port sweep, by the page alone", async () => {
    await page.goto(busy);
    await page.locator(".queries a", { hasText: "port_sweep" }).click();
    await page.getByRole("button", { name: "Alert me" }).click();
    const form = page.getByRole("form", { name: "Alert me" });
    await form.getByRole("button", { name: "Alert me" }).waitFor();
    await isRight(person);
    await shoot(page, "alert");
    await form.getByRole("button", { name: "Alert me" }).click();
    await page.locator(".alarm .chip", { hasText: "a row appears" }).waitFor();
    await form.waitFor({ state: "detached" });
    await isRight(person);
    await page.getByRole("button", { name: "Drop the alert on rows" }).click();
    await page.locator(".alarm .chip").waitFor({ state: "detached" });
  });

  await step("an alert fires on the first screen, and is over when it is dropped", async () => {
    await add("quick_sweep", SWEEP);
    await page.goto(`${busy}/#/query/quick_sweep`);
    await page.getByRole("button", { name: "Alert me" }).click();
    const form = page.getByRole("form", { name: "Alert me" });
    await form.locator("[name=column]").selectOption("probes");
    await form.locator("[name=value]").fill("1");
    await form.getByRole("button", { name: "Alert me" }).click();
    await page.locator(".alarm .chip", { hasText: "probes > 1" }).waitFor();
    await page.locator(".alarm .state.firing").first().waitFor({ timeout: WINDOW_MS });
    await isRight(person);
    await page.goto(`${busy}/#/`);
    const fires = page.locator(".alarms tr:not(.past)", { hasText: "quick_sweep" }).first();
    await fires.waitFor({ timeout: WINDOW_MS });
    assert.match(await fires.textContent(), /probes > 1.*probes \d/);
    await isRight(person);
    await shoot(page, "alarms");
    await page.goto(`${busy}/#/query/quick_sweep`);
    // The alert that the page makes is kept by a query that is edited.
    await page.getByRole("link", { name: "Edit" }).click();
    await page.locator(".keep", { hasText: "in the place of quick_sweep" }).waitFor();
    await page.getByRole("button", { name: "Replace" }).click();
    await page.locator(".alarm .chip", { hasText: "probes > 1" }).waitFor();
    await page.getByRole("button", { name: "Drop the alert on probes > 1" }).click();
    await page.locator(".alarm .chip", { hasText: "probes > 1" }).waitFor({ state: "detached" });
    person.wrongs.length = 0;
  });

  await step("a query is edited and dropped", async () => {
    await page.goto(`${busy}/#/query/by_destination`);
    await page.getByRole("link", { name: "Edit" }).click();
    await page.locator(".keep", { hasText: "in the place of by_destination" }).waitFor();
    await write(page, "SELECT dst_as, sum(packets) AS packets\nFROM flows\nGROUP BY dst_as, tumble('1 second')");
    await page.getByRole("button", { name: "Replace" }).click();
    await page.locator(".facts .sql", { hasText: "sum(packets)" }).waitFor();
    await page.getByRole("button", { name: "Drop" }).click();
    await page.getByRole("button", { name: "Drop it" }).click();
    await page.locator(".sentence").waitFor();
    await page.locator(".queries tr", { hasText: "shape_stack" }).waitFor();
    await page.locator(".queries tr", { hasText: "by_destination" }).waitFor({ state: "detached" });
    person.wrongs.length = 0;
  });

  await step("a connection that is lost is told, and found again", async () => {
    await page.goto(`${busy}/#/query/shape_number`);
    await page.locator(".result .rows tbody tr").first().waitFor();
    await context.setOffline(true);
    await page.locator(".banner", { hasText: "trying again" }).waitFor();
    assert.ok(await page.locator(".result .rows tbody tr").first().isVisible(), "what was known stays");
    await shoot(page, "lost");
    assert.deepEqual(await faults(page), []);
    await context.setOffline(false);
    await page.locator(".banner").waitFor({ state: "detached", timeout: WINDOW_MS });
    person.wrongs.length = 0;
  });

  await step("a node to which nothing comes says why", async () => {
    const other = await open(browser, idle);
    await other.page.goto(idle);
    await other.page.locator(".sentence", { hasText: "nothing" }).or(other.page.locator(".sentence", { hasText: "Nothing" })).waitFor();
    await other.page.locator(".silence dd").first().waitFor();
    await other.page.locator(".nothing", { hasText: "No query runs" }).waitFor();
    await shoot(other.page, "empty");
    await isRight(other);
    await other.page.goto(`${idle}/#/query/nobody`);
    await other.page.locator(".nothing", { hasText: "There is no query" }).or(other.page.locator("[role=alert]", { hasText: "no query" })).first().waitFor();
    await other.context.close();
  });

  await step("each screen is there in each of its states", async () => {
    await everyState({ browser, busy, idle, shoot });
  });

  await step("it is readable in the dark, and on a phone", async () => {
    for (const [kind, options] of [["dark", { colorScheme: "dark" }], ["phone", { viewport: PHONE }]]) {
      const other = await open(browser, busy, options);
      for (const screen of ["now", "ask", "account", "query/shape_stack", "query/shape_flow"]) {
        await other.page.goto(`${busy}/#/${screen}`);
        await other.page.locator("main h1").first().waitFor({ state: "attached" });
        await other.page.waitForTimeout(2500);
        const room = await other.page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
        assert.ok(room <= 0, `${screen} is ${room} wider than a ${kind}`);
        await isRight(other);
        await shoot(other.page, `${kind}-${screen.replace("/", "-")}`);
      }
      await other.context.close();
    }
  });

  await step("all of it can be reached by keyboard", async () => {
    await page.goto(busy);
    await page.locator(".questions a").first().waitFor();
    const reached = new Set();
    for (let count = 0; count < 40; count += 1) {
      await page.keyboard.press("Tab");
      reached.add(await page.evaluate(() => document.activeElement?.textContent?.trim().slice(0, 24)));
    }
    for (const name of ["Now", "Ask", "Account", "shape_stack"]) assert.ok(reached.has(name), `${name} is not reached: ${[...reached]}`);
    assert.ok([...reached].some((name) => name?.startsWith("Who sends most?")), [...reached].join());
  });
} finally {
  await browser.close();
}
