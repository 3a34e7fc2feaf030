/**
 * What the page computes without a browser: parts of SQL, windows that come several times, shapes, numbers, words.
 */
import assert from "node:assert/strict";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const module = (name) => import(pathToFileURL(join(import.meta.dirname, "../../web/js", name)).href);
const sql = await module("sql.js");
const format = await module("format.js");
const { Windows, isComplete, isHollow } = await module("windows.js");
const shape = await module("shape.js");
const { events } = await module("events.js");
const { csv } = await module("table.js").catch(() => ({}));
const fates = await module("fates.js");
const before = await module("before.js");
const { bottleneck } = await module("bottleneck.js");
const { changesAt, isOutermost, valueOf } = await module("change.js");
const { sentence } = await module("sentence.js");
const { conditionOf, keyOf, restOf, wordsOf } = await module("alerts.js");

const TOP = "SELECT src_ip, sum(octets) AS octets\nFROM flows -- all\nGROUP BY src_ip, tumble('10 seconds')\nORDER BY octets DESC LIMIT 10";
const SWEEP = "SELECT src_ip, count(*) AS probes FROM (SELECT src_ip, dst_ip FROM flows WHERE packets = 1 "
  + "GROUP BY src_ip, dst_ip, tumble('60 seconds')) GROUP BY src_ip HAVING count(*) >= 500";

const cases = {
  "a key is included and excluded"() {
    const included = sql.filtered(TOP, "src_ip", "10.0.0.1", false);
    assert.equal(included, TOP.replace("FROM flows", "FROM flows\nWHERE src_ip = '10.0.0.1'"));
    const both = sql.filtered(included, "src_ip", "it's", true);
    assert.match(both, /WHERE src_ip = '10\.0\.0\.1'\n {4}AND src_ip IS DISTINCT FROM 'it''s' -- all/);
    assert.match(sql.filtered(TOP, "src_ip", null, true), /WHERE src_ip IS NOT NULL/);
    assert.equal(sql.filtered(TOP, "octets", 7, false), null);
    assert.equal(sql.filtered(`${TOP} UNION ALL ${TOP}`, "src_ip", 1, false), null);
  },
  "a condition is written as the node reads it"() {
    assert.equal(conditionOf("", ">", ""), "rows");
    assert.equal(conditionOf("probes", ">=", " 100 "), "probes >= 100");
    assert.equal(conditionOf('sum "of" it', "<>", "1"), '"sum ""of"" it" <> 1');
    assert.deepEqual([wordsOf("rows"), wordsOf("n > 1")], ["a row appears", "n > 1"]);
    const alarm = { key: { src_ip: "192.0.2.7", dst_port: null }, row: { src_ip: "192.0.2.7", dst_port: null, probes: 25 } };
    assert.deepEqual([keyOf(alarm), restOf(alarm)], ["192.0.2.7 · NULL", "probes 25"]);
    assert.deepEqual([keyOf({ key: null }), restOf({ key: null, row: null })], ["", ""]);
  },
  "an OR stays together"() {
    const or = "SELECT dst_port, count(*) AS n FROM flows WHERE protocol = 6 OR protocol = 17 GROUP BY dst_port, tumble('1 second')";
    assert.match(sql.filtered(or, "dst_port", 53, false), /WHERE \(protocol = 6 OR protocol = 17\)\n {4}AND dst_port = 53 GROUP/);
  },
  "an expression is named by its text and by its alias"() {
    const text = "SELECT service(protocol, least(src_port, dst_port)) AS service, count(*) FROM flows GROUP BY service, tumble('1 second')";
    assert.match(sql.filtered(text, "service", "https", false), /WHERE service\(protocol, least\(src_port, dst_port\)\) = 'https'/);
    assert.deepEqual([...sql.keyNames(text).keys], ["service"]);
    assert.deepEqual([...sql.keyNames(text).values], ["count(*)"]);
    assert.deepEqual([...sql.keyNames("SELECT DISTINCT a, b FROM flows").keys], ["a", "b"]);
  },
  "the outline is of the SELECT that reads the stream"() {
    const outline = sql.outline(SWEEP);
    assert.equal(outline.from, "flows");
    assert.deepEqual(outline.keys.map((key) => key.text), ["src_ip", "dst_ip"]);
    assert.deepEqual(outline.conditions.map((condition) => condition.text), ["packets = 1"]);
    assert.equal(sql.windowSeconds(SWEEP), 60);
    assert.match(sql.withWindow(SWEEP, outline.window, "5 minutes"), /dst_ip, tumble\('5 minutes'\)\) GROUP BY src_ip HAVING/);
    assert.match(sql.withKey(SWEEP, outline.block, "dst_port"), /\(SELECT dst_port, src_ip, dst_ip FROM .* GROUP BY dst_port, src_ip/);
    assert.match(sql.withoutKey(SWEEP, outline.block, "dst_ip"), /\(SELECT src_ip FROM flows WHERE packets = 1 GROUP BY src_ip, tumble/);
    assert.match(sql.withoutCondition(SWEEP, outline.block, 0), /FROM flows GROUP BY src_ip, dst_ip/);
    assert.match(sql.withCondition(SWEEP, outline.block, "octets > 1"), /WHERE packets = 1\n {4}AND octets > 1 GROUP/);
  },
  "BETWEEN has an AND of its own"() {
    const text = "SELECT count(*) FROM flows WHERE octets BETWEEN 1 AND 9 AND protocol = 6 GROUP BY tumble('1 second')";
    const { block, conditions } = sql.outline(text);
    assert.deepEqual(conditions.map((condition) => condition.text), ["octets BETWEEN 1 AND 9", "protocol = 6"]);
    assert.match(sql.withoutCondition(text, block, 0), /WHERE protocol = 6 GROUP/);
  },
  "nonsense is left alone"() {
    for (const text of ["", "SELECT", "FROM", "((((", "select '", "SELECT a FROM (", ")))) SELECT 1", "SELECT ,,, FROM x GROUP BY"]) {
      sql.outline(text);
      sql.filtered(text, "a", 1, false);
      sql.keyNames(text);
      sql.orderedBy(text);
    }
  },
  "a window comes early, whole, and with a folded row"() {
    const window = (status, n, start = "00") => ({
      window_start: `2026-01-01T00:00:${start}Z`, window_end: `2026-01-01T00:01:${start}Z`, status, completeness: 1, rows: [{ n }],
    });
    const windows = new Windows(2);
    windows.put(window("early", 1));
    windows.put(window("early", 2));
    assert.deepEqual(windows.list().map(({ status, rows }) => [status, rows[0].n]), [["early", 2]]);
    windows.put(window("final", 3));
    windows.put(window("folded", 4));
    windows.put(window("early", 5));
    assert.deepEqual(windows.list().map(({ status, rows, folded }) => [status, rows[0].n, folded[0].n]), [["final", 3, 4]]);
    windows.put(window("final", 6, "10"));
    windows.put(window("partial", 7, "20"));
    assert.deepEqual(windows.list().map(({ rows }) => rows[0].n), [6, 7]);
    assert.ok(isHollow(windows.list()[1]) && isComplete({ completeness: null }) && !isComplete({ completeness: 0.99 }));
  },
  "keys and values are told apart, and a shape follows"() {
    const column = (name, type) => ({ name, type });
    const schema = [column("window_start", "Timestamp(ns, \"UTC\")"), column("protocol", "UInt8"), column("n", "Int64"), column("status", "Utf8")];
    const roles = shape.rolesOf(schema, "SELECT protocol, count(*) AS n FROM flows GROUP BY protocol, tumble('1 second')");
    assert.deepEqual([roles.keys.map((key) => key.name), roles.values.map((value) => value.name)], [["protocol"], ["n"]]);
    assert.deepEqual(shape.shapesOf(roles, 5), ["stack", "table"]);
    assert.deepEqual(shape.shapesOf({ ...roles, keys: [] }, 5)[0], "line");
    assert.deepEqual(shape.shapesOf({ ...roles, keys: [] }, 1)[0], "number");
    assert.deepEqual(shape.shapesOf({ ...roles, keys: [column("a", "Utf8"), column("b", "Utf8")] }, 5)[0], "flow");
  },
  "the greatest are kept, and the rest is one"() {
    const rows = [5, 4, 3, 2, 1].map((n) => ({ key: `k${n}`, n }));
    const window = { key: "w", start: 0, end: 1, status: "final", completeness: 1, rows, folded: [{ key: null, n: 9 }] };
    const { series, others, at } = shape.stacked([window], [{ name: "key", type: "Utf8" }], "n", 2);
    assert.deepEqual([series.map((one) => one.name), others, at[0].other, at[0].folded], [["k5", "k4"], 3, 6, 9]);
    assert.deepEqual(shape.greatest(rows, "n", 2), { kept: rows.slice(0, 2), rest: 3, other: 6 });
  },
  "numbers are short, and parts are honest"() {
    assert.equal(format.short(12_345_678, "B"), "12.3\u202fMB");
    assert.equal(format.short(999.9), "1.00\u202fk");
    assert.equal(format.short(0), "0");
    assert.equal(format.short(null), "–");
    assert.equal(format.percent(0.99999), "99.99\u202f%");
    assert.equal(format.percent(1), "100\u202f%");
    assert.equal(format.percent(0.003), "0.3\u202f%");
    assert.equal(format.unitOf("octets_to").unit, "B");
    assert.equal(format.unitOf("bits_per_second").unit, "bit/s");
  },
  async "events are read as they come in pieces"() {
    const pieces = [": results\n\nevent: win", "dow\ndata: {\"n\":", "1}\n\n: alive\n\nevent: failed\r\ndata: {\"detail\":\"x\"}\r\n\r\n"];
    const body = new ReadableStream({
      start(controller) {
        pieces.forEach((piece) => controller.enqueue(new TextEncoder().encode(piece)));
        controller.close();
      },
    });
    const found = [];
    for await (const event of events(body)) found.push(event);
    assert.deepEqual(found, [{ name: "window", data: { n: 1 } }, { name: "failed", data: { detail: "x" } }]);
  },
  "seconds are what counters rose by, and what is little is seen"() {
    const sample = (at, delivered, lost) => ({ at, values: { delivered, lost } });
    const all = fates.seconds([sample(0, 0, 0), sample(1000, 100, 1), sample(3000, 300, 0)]);
    assert.deepEqual(all.map(({ at, values }) => [at, values.delivered, values.lost]), [[1000, 100, 1], [3000, 100, -0.5]]);
    assert.equal(fates.secondAt(all, 3000), all[1]);
    assert.equal(fates.secondAt(all, 2000), null);
    assert.deepEqual(fates.seconds(undefined), []);
    assert.deepEqual(fates.heights([99, 0, 1], 50, 100, 3), [47, 0, 3]);
    assert.deepEqual(fates.heights([50, 0, 0], 50, 100, 3), [25, 0, 0]);
    assert.match(fates.ofSource("it's", "lost", "1 second"), /source = 'it''s'\nGROUP BY .* tumble\('1 second'\)/);
  },
  "what was before lies so much earlier, or is not known"() {
    const window = (start) => ({ key: `${start}`, start, end: start + 10, status: "final", completeness: 1, rows: [], folded: [] });
    const all = [0, 10, 20, 100].map(window);
    assert.equal(before.earlier(all, window(100), 80), all[2]);
    assert.equal(before.earlier(all, window(104), 80), all[2]);
    assert.equal(before.earlier(all, window(100), 50), null);
    assert.equal(before.earlier([], window(100), 50), null);
    assert.equal(before.shiftOf("span", all), 110);
    assert.equal(before.shiftOf("hour", []), 3_600_000);
    assert.equal(before.shiftOf("window", all), null);
    const row = (n, status) => ({ window_start: "2026-01-01T00:00:00Z", window_end: "2026-01-01T00:00:10Z", n, completeness: 0.5, status });
    const [found, ...others] = before.asWindows([row(1, "final"), row(2, "final"), row(3, "folded")]);
    assert.deepEqual([others.length, found.completeness, found.rows, found.folded], [0, 0.5, [{ n: 1 }, { n: 2 }], [{ n: 3 }]]);
  },
  "the bottleneck is measured, and none below half a core"() {
    const samples = (fate, a, b) => [{ at: 0, values: { [fate]: a } }, { at: 1000, values: { [fate]: b } }];
    const node = (operator, dropped) => ({
      status: {
        sources: [{ name: "udp", threads: ["capture-0"] }, { name: "other", threads: ["capture-1"] }],
        threads: ["capture-0", "capture-1", "operator-0", "merger"].map((name) => ({ name, cpu_seconds: 0 })),
      },
      history: new Map([
        ["thread operator-0", samples("cpu_seconds", 0, operator)], ["thread capture-0", samples("cpu_seconds", 1, 1.2)],
        ["thread capture-1", samples("cpu_seconds", 1, 2)], ["thread merger", samples("cpu_seconds", 0, 0.1)],
        ["query q", [0, 1].map((n) => ({ at: n * 1000, values: { work_ns: n * 6e8, window_work_ns: n * 1e8, delivered: n * 1e6, dropped: n * dropped } }))],
        ["source udp", samples("dropped", 0, 0)],
      ]),
    });
    const boxes = [["b0", "source", "reader"], ["b1", "filter", "worker"], ["b2", "aggregate", "worker"], ["b3", "window", "window"]]
      .map(([id, kind, runs]) => ({ id, kind, runs }));
    const found = bottleneck(node(0.8, 0), { name: "q" }, ["udp"], boxes);
    assert.deepEqual([found.id, found.short], ["b2", "80\u202f% of a core"]);
    assert.equal(found.text, "operator-0 works 80\u202f% of a core, 50\u202f% of one for this query: 500 ns a row × 1\u202fM rows/s.");
    assert.equal(bottleneck(node(0.45, 0), { name: "q" }, ["udp"], boxes), null);
    assert.match(bottleneck(node(0.4, 7), { name: "q" }, ["udp"], boxes).text, /7 records\/s are dropped/);
    assert.equal(bottleneck(node(0.4, 0), { name: "q" }, ["udp", "other"], boxes).id, "b0");
    assert.equal(bottleneck({ status: { sources: [], threads: [] }, history: new Map() }, { name: "q" }, [], boxes), null);
  },
  "a box has what can be changed there"() {
    const box = (kind, runs) => ({ id: kind, kind, runs, title: kind, lines: [] });
    assert.deepEqual([changesAt(box("source")), changesAt(box("sort"))], [["sources", "filters"], []]);
    assert.ok(isOutermost(box("aggregate", "window"), []) && !isOutermost(box("aggregate", "worker"), []));
    assert.ok(isOutermost(box("output", "window"), [box("aggregate", "window")]) && !isOutermost(box("output", "window"), [box("aggregate", "worker")]));
    assert.deepEqual([valueOf("443", "uint16"), valueOf("443", "text"), valueOf("null", "text"), valueOf("'a'", undefined)], [443, "443", null, "a"]);
    assert.equal(valueOf("18446744073709551615", "uint64"), "18446744073709551615");
  },
  "the sentence says which exporter lost what, and for how long nothing was missing"() {
    const now = Date.parse("2026-01-01T10:00:00Z");
    const node = (lost, missedAt = []) => ({
      isThere: true, since: now - 60_000, history: new Map(), missedAt: new Map(missedAt),
      status: {
        now: "2026-01-01T10:00:00Z", queries: [],
        sources: [{ name: "udp", kind: "flow exports", state: "open", since: "2026-01-01T09:19:00Z", unit: "rows", offered: 1000, delivered: 1000 - lost, filtered: 0, control: 0, undecodable: 0, dropped: 0, lost }],
      },
    });
    const windows = [{ start: now - 1e6, end: now - 9e5, rows: [{ source: "udp", exporter: "edge2", offered: 1000, missing: 3 }, { source: "udp", exporter: "edge1", offered: 1000, missing: 0 }] }];
    assert.deepEqual(sentence(node(0), [], null), { text: "1 listener for flow exports, complete for 41\u202fmin.", tone: "good", missed: "" });
    const told = sentence(node(3), windows, null);
    assert.match(told.missed, /^edge2 lost 0.3\u202f% at .*; udp misses 0.3\u202f% of what was offered, none of it in the last 60\u202fs\.$/);
    assert.match(told.text, /complete for 15\u202fmin/);
    assert.doesNotMatch(sentence(node(3, [["udp", now - 1000]]), windows, null).text, /complete/);
    assert.match(sentence(node(3), null, null).text, /complete for 60\u202fs/);
    assert.match(sentence({ ...node(0), status: null, isThere: false }, null, null).text, /does not answer/);
  },
  "rows are CSV"() {
    assert.equal(csv(["a", "b"], [{ a: 'x"y', b: null }, { a: 1, b: "p,q" }]), 'a,b\r\n"x""y",\r\n1,"p,q"');
  },
};

for (const [name, check] of Object.entries(cases)) {
  await check();
  console.log(`ok: ${name}`);
}
