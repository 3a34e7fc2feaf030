/**
 * A query that runs: its result as it comes, how it stands, and what can be done about it.
 */
import { html, useEffect, useRef, useState } from "../../vendor/preact.js";
import { Problem, ask, pathOf } from "../api.js";
import { bottleneck } from "../bottleneck.js";
import { Plan } from "../charts/plan.js";
import { watch } from "../events.js";
import { duration, exact, short } from "../format.js";
import { lookNow, useNode } from "../poll.js";
import { stateOf } from "../quality.js";
import { rateNow } from "../rates.js";
import { Result } from "../result.js";
import { amend, go, link } from "../router.js";
import { filtered } from "../sql.js";
import { Windows } from "../windows.js";
import { AlertForm, Alerts } from "./alert.js";

/** @typedef {import("../poll.js").Query} Query */

/** Windows that are asked for, fewer where they have many rows. */
const WINDOWS_MAX = 120;
const WINDOWS_MIN = 3;
const ROWS_MAX = 20_000;

/** The windows of a query, as they come. @param {string} name @param {string | undefined} since Another one where it was replaced. */
function useWindows(name, since) {
  const windows = useRef(new Windows(WINDOWS_MAX));
  const [, redraw] = useState(0);
  const [schema, setSchema] = useState(/** @type {import("../api.js").Column[] | null} */ (null));
  const [link, setLink] = useState({ state: "asking", again: 0, lost: 0 });
  const [problem, setProblem] = useState(/** @type {Problem | null} */ (null));
  const [tries, setTries] = useState(0);
  useEffect(() => {
    if (problem?.status !== 0) return undefined;
    const timer = setTimeout(() => setTries((number) => number + 1), 2000);
    return () => clearTimeout(timer);
  }, [problem]);
  useEffect(() => {
    windows.current = new Windows(WINDOWS_MAX);
    setSchema(null);
    setProblem(null);
    if (since === undefined) return undefined;
    const gone = new AbortController();
    let frame = 0;
    const draw = () => {
      frame ||= requestAnimationFrame(() => {
        frame = 0;
        redraw((number) => number + 1);
      });
    };
    let stop = () => {};
    const begin = (/** @type {number} */ kept) => {
      stop = watch(name, {
        kept,
        onWindow: (window) => {
          windows.current.put(window);
          draw();
        },
        onState: (state, again) => setLink((before) => ({ ...before, state, again })),
        onLost: (results) => setLink((before) => ({ ...before, lost: before.lost + results })),
      });
    };
    ask("GET", `${pathOf(name)}/results?windows=1`, { signal: gone.signal }).then((answer) => {
      setSchema(answer.schema);
      // They are there at once, so that nothing moves when they come again.
      const ended = answer.windows.filter((/** @type {import("../events.js").Window} */ window) => window.window_start !== null);
      ended.forEach((/** @type {import("../events.js").Window} */ window) => windows.current.put(window));
      const rows = answer.windows.at(-1)?.rows.length ?? 0;
      begin(Math.max(WINDOWS_MIN, Math.min(WINDOWS_MAX, Math.floor(ROWS_MAX / Math.max(1, rows)))));
    }).catch((error) => gone.signal.aborted || setProblem(error));
    return () => {
      gone.abort();
      stop();
      cancelAnimationFrame(frame);
    };
  }, [name, since, tries]);
  return { windows: windows.current, schema, link, problem };
}

/** @param {{ name: string, params: Record<string, string> }} props */
export function QueryPage({ name, params }) {
  const node = useNode();
  const query = node.status?.queries.find((known) => known.name === name);
  const { windows, schema, link: stream, problem } = useWindows(name, query?.since);
  const [isAlerting, setAlerting] = useState(false);
  if (problem?.status === 404 || (node.status && !query)) {
    return html`<div class="query"><h1>${name}</h1><p class="nothing" role="alert">${problem?.message ?? `There is no query ${name}.`}
      <a href=${link([])}>Those that run</a> stand on the first screen.</p></div>`;
  }
  const list = windows.list();
  const onKey = (/** @type {any} */ column, /** @type {any} */ value, /** @type {boolean} */ isExcluded) => {
    const changed = filtered(query?.sql ?? "", column.name, value, isExcluded);
    if (changed) go(["ask"], { sql: changed });
  };
  return html`<div class="query">
    ${query ? headOf(node, query, () => setAlerting(true)) : html`<h1>${name}</h1>`}
    ${query && schema && isAlerting && html`<${AlertForm} query=${query} schema=${schema} onClose=${() => setAlerting(false)} />`}
    ${(stream.state === "lost" || problem) && node.isThere && html`<p class="banner" role="alert">No new windows come: the connection for them is lost, trying again.
      What is there came before.</p>`}
    ${stream.lost > 0 && html`<p class="lost">${exact(stream.lost)} results were too fast for this page.</p>`}
    ${query?.reason && html`<p class=${query.state === "failed" ? "lost" : "reason"} role="status">${query.reason}</p>`}
    ${schema && (list.length > 0 || windows.loose.length > 0)
      ? html`<${Result} name=${name} sql=${query?.sql ?? ""} schema=${schema} windows=${list} loose=${windows.loose} params=${params}
          amend=${amend} onKey=${onKey} table=${name} json=${`${pathOf(name)}/results?windows=${WINDOWS_MAX}`} />`
      : html`<p class="nothing tall" role="status">${query ? waitsFor(query, node.status?.now ?? "") : "Asking the node …"}</p>`}
    ${query && (schema || problem) && html`<${Facts} node=${node} query=${query} /><${Alerts} query=${query} />`}
  </div>`;
}

/** @param {Query} query @param {string} now */
function waitsFor(query, now) {
  if (query.state === "waiting") return `No window yet: ${query.reason ?? "it waits for its sources"}.`;
  if (query.state === "failed") return "It has failed, and gives nothing any more.";
  const seconds = (Date.parse(now) - Date.parse(query.since)) / 1000;
  if (query.delivered === 0) return `No row has reached it in the ${duration(seconds)} that it runs.`;
  return `${exact(query.delivered)} rows have reached it, ${exact(query.used)} of which count; no window has closed yet.`;
}

/** @param {import("../poll.js").Node} node @param {Query} query @param {() => void} onAlert */
function headOf(node, query, onAlert) {
  const { note, ...others } = query.options;
  const options = Object.keys(others).length ? JSON.stringify(others) : undefined;
  return html`<header class="head">
    <h1>${query.name} ${stateOf(query.state)}</h1>
    ${note && html`<p class="note">${note}</p>`}
    <div class="tools">
      <button onClick=${onAlert}>Alert me</button>
      <a class="button" href=${link(["ask"], { sql: query.sql, name: query.name, note, early: others.early, options })}>Edit</a>
      <a class="button" href=${link(["ask"], { sql: query.sql })}>Ask something alike</a>
      <${Drop} name=${query.name} />
    </div>
  </header>`;
}

/** Drops it, when it is said twice. @param {{ name: string }} props */
function Drop({ name }) {
  const [isAsked, setAsked] = useState(false);
  const [said, say] = useState("");
  if (!isAsked) return html`<button onClick=${() => setAsked(true)}>Drop</button>`;
  const drop = () => ask("DELETE", pathOf(name)).then(() => {
    lookNow();
    go([]);
  }).catch((error) => say(error.message));
  return html`<span class="sure" role="alert">Drop ${name}, and what it has kept?
    <button class="danger" onClick=${drop}>Drop it</button> <button onClick=${() => setAsked(false)}>Keep it</button> ${said}</span>`;
}

/** @param {{ node: import("../poll.js").Node, query: Query }} props */
function Facts({ node, query }) {
  const samples = node.history.get(`query ${query.name}`);
  const rate = (/** @type {string} */ fate) => {
    const found = rateNow(samples, fate);
    return found === null ? "–" : `${short(found)}/s`;
  };
  const fates = ["delivered", "used", "filtered", "late", "dropped", "folded"];
  const options = Object.entries(query.options).filter(([key]) => key !== "note" && key !== "alerts");
  return html`<section class="facts"><h2>How it stands</h2>
    <div class="columns">
      <table><tbody>${fates.map((fate) => html`<tr><th scope="row">${fate}</th>
        <td class="number" title=${exact(/** @type {any} */ (query)[fate])}>${short(/** @type {any} */ (query)[fate])}</td><td class="number">${rate(fate)}</td></tr>`)}
      </tbody></table>
      <table><tbody>
        <tr><th scope="row">runs since</th><td>${query.since.replace("T", " ").replace(/\.\d+Z$|Z$/, " UTC")}</td></tr>
        <tr><th scope="row">reads</th><td>${query.streams.join(", ")}</td></tr>
        <tr><th scope="row">holds</th><td>${short(query.octets_held, "B")}, ${exact(query.groups_held)} groups</td></tr>
        <tr><th scope="row">works</th><td>${query.ns_a_row === null ? "–" : `${exact(query.ns_a_row)} ns a row`}</td></tr>
        <tr><th scope="row">results lost</th><td>${exact(query.results_lost)}</td></tr>
        ${options.map(([key, value]) => html`<tr><th scope="row">${key}</th><td>${String(value)}</td></tr>`)}
      </tbody></table>
      <pre class="sql" tabindex="0" aria-label="SQL">${query.sql}</pre>
    </div>
    <${QueryPlan} node=${node} query=${query} rates=${{ source: rate("delivered"), filter: rate("used") }} />
  </section>`;
}

/** @param {{ node: import("../poll.js").Node, query: Query, rates: Record<string, string> }} props */
function QueryPlan({ node, query, rates }) {
  const [explained, setExplained] = useState(/** @type {import("../api.js").Explained | null} */ (null));
  useEffect(() => {
    const gone = new AbortController();
    const { note, ...options } = query.options;
    ask("POST", "/api/v1/explain", { body: { sql: query.sql, options }, signal: gone.signal }).then(setExplained).catch(() => {});
    return () => gone.abort();
  }, [query.sql]);
  if (!explained) return null;
  const { diagram, sources } = explained;
  const slow = diagram && query.state === "running" ? bottleneck(node, query, sources, diagram.boxes) : null;
  return html`<h2>Plan</h2>${diagram ? html`<${Plan} diagram=${diagram} rates=${rates} isWide=${innerWidth > 900} slow=${slow} />`
    : html`<pre tabindex="0">${explained.text}</pre>`}`;
}
