/**
 * Asking: the editor, beside it the plan, below both what comes of it. The text stands in the page's address.
 */
import { html, useEffect, useMemo, useRef, useState } from "../../vendor/preact.js";
import { Problem, ask, inWords, pathOf, schemaOfNode } from "../api.js";
import { ChangeBox } from "../change.js";
import { Plan } from "../charts/plan.js";
import { preview } from "../events.js";
import { clock, duration } from "../format.js";
import { lookNow, useNode } from "../poll.js";
import { questionsFor } from "../questions.js";
import { Result } from "../result.js";
import { amend, go, link } from "../router.js";
import { filtered, outline, windowSeconds, withCondition, withKey, withWindow, withoutCondition, withoutKey } from "../sql.js";
import { Windows } from "../windows.js";

/** @typedef {import("../api.js").Explained} Explained */

/** How long nobody types before the plan is drawn anew. */
const PAUSE_MS = 300;
const PREVIEW_WINDOWS = 3;
const NAME = /^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$/;

/** How often a window is given early, of those that go into it. @param {string} sql */
function earlyOf(sql) {
  const seconds = windowSeconds(sql) ?? 0;
  const every = [1, 2, 5, 10, 15, 30, 60].find((step) => seconds > step && seconds % step === 0 && seconds / step <= 60);
  return every ? `${every}s` : undefined;
}

/** @param {string} sql */
function useExplained(sql) {
  const [seen, see] = useState(/** @type {{ explained: Explained | null, problem: Problem | null }} */ (
    { explained: null, problem: null }));
  useEffect(() => {
    if (!sql.trim()) {
      see((before) => ({ ...before, problem: null }));
      return undefined;
    }
    const gone = new AbortController();
    const timer = setTimeout(async () => {
      try {
        const explained = await ask("POST", "/api/v1/explain", { body: { sql }, signal: gone.signal });
        see({ explained, problem: null });
      } catch (error) {
        if (gone.signal.aborted) return;
        // The plan stays, while somebody is writing.
        see((before) => ({ ...before, problem: /** @type {Problem} */ (error) }));
      }
    }, PAUSE_MS);
    return () => {
      clearTimeout(timer);
      gone.abort();
    };
  }, [sql]);
  return seen;
}

/**
 * What somebody types is told; what is to stand there otherwise is given, each time anew, so that neither chases the other.
 * @param {{ given: { text: string }, onChange: (text: string) => void, onRun: () => void, problem: Problem | null }} props
 */
function Editor({ given, onChange, onRun, problem }) {
  const host = useRef(null);
  const made = useRef(/** @type {ReturnType<typeof import("../editor.js").editor> | null} */ (null));
  const calls = useRef({ onChange, onRun });
  calls.current = { onChange, onRun };
  const [isMade, setMade] = useState(false);
  useEffect(() => {
    let isGone = false;
    // The first screen does without it.
    import("../editor.js").then(({ editor }) => {
      if (isGone) return;
      const own = editor(/** @type {any} */ (host.current), {
        text: given.text, onChange: (now) => calls.current.onChange(now), onRun: () => calls.current.onRun(),
      });
      made.current = own;
      setMade(true);
      schemaOfNode().then((schema) => own.know(schema)).catch(() => {});
    });
    return () => {
      isGone = true;
      made.current?.destroy();
    };
  }, []);
  useEffect(() => made.current?.write(given.text), [given, isMade]);
  useEffect(() => made.current?.mark(problem && inWords(problem.message), problem?.place ?? null), [problem, isMade]);
  return html`<div class="editor" ref=${host}></div>`;
}

/**
 * @typedef {{ state: "" | "running" | "done" | "failed", said: string, started: number, of: string,
 *   schema: import("../api.js").Column[], windows: Windows, whole: number }} Run
 */

/** Runs a question for a few windows; gives what came, and how to begin and end. */
function usePreview() {
  const nothing = () => /** @type {Run} */ ({ state: "", said: "", started: 0, of: "", schema: [], windows: new Windows(60), whole: 0 });
  const [run, setRun] = useState(nothing);
  const gone = useRef(new AbortController());
  const [, tick] = useState(0);
  useEffect(() => () => gone.current.abort(), []);
  useEffect(() => {
    if (run.state !== "running") return undefined;
    const timer = setInterval(() => tick((number) => number + 1), 1000);
    return () => clearInterval(timer);
  }, [run.state]);
  const stop = () => {
    gone.current.abort();
    setRun((now) => (now.state === "running" ? { ...now, state: "done", said: "Stopped." } : now));
  };
  const start = async (/** @type {string} */ sql) => {
    gone.current.abort();
    const own = (gone.current = new AbortController());
    const begun = { ...nothing(), state: /** @type {const} */ ("running"), started: Date.now(), of: sql };
    setRun(begun);
    const change = (/** @type {(now: Run) => Run} */ how) => setRun((now) => (now.windows === begun.windows ? how(now) : now));
    const handlers = {
      onSchema: (/** @type {Run["schema"]} */ schema) => change((now) => ({ ...now, schema })),
      onLost: () => {},
      onWindow: (/** @type {import("../events.js").Window} */ window) => {
        begun.windows.put(window);
        const isWhole = ["final", "partial", "revised"].includes(window.status);
        change((now) => ({ ...now, whole: now.whole + (isWhole ? 1 : 0) }));
      },
    };
    try {
      await previewEarly(sql, handlers, own.signal);
      change((now) => ({ ...now, state: "done" }));
    } catch (error) {
      if (!own.signal.aborted) change((now) => ({ ...now, state: "failed", said: inWords(/** @type {Error} */ (error).message) }));
    }
  };
  return { run, start, stop };
}

/** With what a window has so far, where its length allows it. @param {string} sql @param {any} handlers @param {AbortSignal} signal */
async function previewEarly(sql, handlers, signal) {
  const early = earlyOf(sql);
  try {
    await preview({ sql, options: early ? { early } : {}, windows: PREVIEW_WINDOWS }, handlers, signal);
  } catch (error) {
    // Some queries have no windows of time, and aggregators give whole ones.
    const isEarly = early && error instanceof Problem && error.status === 400 && /\bearly\b/.test(error.message);
    if (!isEarly) throw error;
    await preview({ sql, options: {}, windows: PREVIEW_WINDOWS }, handlers, signal);
  }
}

/** @param {{ params: Record<string, string> }} props */
export function Ask({ params }) {
  const node = useNode();
  const asked = params.sql ?? questionsFor(node.status?.sources ?? [])[0].sql;
  const [sql, setSql] = useState(asked);
  const [given, give] = useState({ text: asked });
  const said = useRef(asked);
  const tell = (/** @type {string} */ text) => {
    said.current = text;
    amend({ sql: text, at: undefined, shape: undefined, y: undefined });
  };
  const write = (/** @type {string} */ text) => {
    setSql(text);
    give({ text });
    tell(text);
  };
  useEffect(() => {
    // Somebody went back, or followed a link.
    if (asked === said.current || said.current === "") return;
    said.current = asked;
    setSql(asked);
    give({ text: asked });
  }, [asked]);
  useEffect(() => {
    // Browsers refuse to change the address at every key.
    const timer = setTimeout(() => sql !== said.current && tell(sql), PAUSE_MS);
    return () => clearTimeout(timer);
  }, [sql]);
  const { explained, problem } = useExplained(sql);
  const { run, start, stop } = usePreview();
  const begin = () => void start(sql);
  const onKey = (/** @type {any} */ column, /** @type {any} */ value, /** @type {boolean} */ isExcluded) => {
    const changed = filtered(sql, column.name, value, isExcluded);
    if (changed) write(changed);
  };
  return html`<div class="ask">
    <h1 class="unseen">Ask</h1>
    <div class="panes">
      <section class="write" aria-label="Question">
        <${Editor} given=${given} onChange=${setSql} onRun=${begin} problem=${problem} />
        <p class="problem" role="alert">${problem && html`${problem.place
          && html`<b>Line ${problem.place.line}, column ${problem.place.column}:</b> `}${inWords(problem.message)}`}</p>
        <${Parts} sql=${sql} write=${write} />
        <div class="tools">
          <button class="main" onClick=${begin} disabled=${Boolean(problem) || !sql.trim()} title="Ctrl-Enter">Run</button>
          ${run.state === "running" && html`<button onClick=${stop}>Stop</button>`}
          <${Keep} sql=${sql} params=${params} isRight=${!problem && sql.trim() !== ""} />
        </div>
      </section>
      <section class="draw" aria-label="Plan"><${Drawn} explained=${explained} isOld=${Boolean(problem)} sql=${sql} write=${write} /></section>
    </div>
    <${Preview} run=${run} sql=${sql} params=${params} onKey=${onKey} />
  </div>`;
}

/** @param {Explained} explained */
function fromOf({ streams, sources }) {
  if (sources.length) return `From ${sources.join(", ")}.`;
  // Every node has an account, whatever it reads.
  return streams.includes("ledger") ? "From the account of this node." : "No source of this node carries what it reads.";
}

/** The plan, whose boxes can be changed as long as it is that of the text. @param {{ explained: Explained | null, isOld: boolean, sql: string, write: (sql: string) => void }} props */
function Drawn({ explained, isOld, sql, write }) {
  const [open, setOpen] = useState(/** @type {{ box: import("../api.js").Box, at: Element, key: number } | null} */ (null));
  const opened = useRef(0);
  if (!explained) return html`<p class="nothing">The plan is drawn here.</p>`;
  const from = fromOf(explained);
  const { diagram } = explained;
  const onBox = isOld ? undefined : (/** @type {import("../api.js").Box} */ box, /** @type {Element} */ at) => {
    opened.current += 1;
    setOpen({ box, at, key: opened.current });
  };
  // Another one may be open by the time that one says that it is closed.
  const close = (/** @type {number} */ key) => () => setOpen((now) => (now?.key === key ? null : now));
  return html`<div class=${isOld ? "old" : ""}>
    <p class="from">${isOld ? "As the text was when it was right." : from}</p>
    ${diagram ? html`<${Plan} diagram=${diagram} onBox=${onBox} />` : null}
    ${open && diagram && html`<${ChangeBox} key=${open.key} box=${open.box} boxes=${diagram.boxes} at=${open.at} sql=${sql} sources=${explained.sources}
      write=${write} onClose=${close(open.key)} />`}
    <details open=${!diagram}><summary>In words</summary><pre tabindex="0">${explained.text}</pre></details>
  </div>`;
}

const LENGTHS = ["1 second", "5 seconds", "10 seconds", "1 minute", "5 minutes", "1 hour"];

/** The parts of a question that a click changes; the text follows. @param {{ sql: string, write: (sql: string) => void }} props */
function Parts({ sql, write }) {
  const found = useMemo(() => outline(sql), [sql]);
  const [adds, setAdds] = useState("");
  const [columns, setColumns] = useState(/** @type {string[]} */ ([]));
  useEffect(() => {
    schemaOfNode().then((schema) => {
      const stream = schema.streams.find((/** @type {any} */ known) => known.name === found?.from);
      setColumns(stream ? stream.columns.map((/** @type {any} */ column) => column.name) : []);
    }).catch(() => {});
  }, [found?.from]);
  if (!found) return null;
  const { block, keys, window } = found;
  const length = /'([^']*)'\s*\)$/.exec(window?.text ?? "")?.[1] ?? "";
  const lengths = length && !LENGTHS.includes(length) ? [length, ...LENGTHS] : LENGTHS;
  const add = (/** @type {any} */ event) => {
    event.preventDefault();
    const text = new FormData(event.target).get("text")?.toString().trim();
    setAdds("");
    if (text) write(adds === "key" ? withKey(sql, block, text) : withCondition(sql, block, text));
  };
  const chip = (/** @type {string} */ text, /** @type {string} */ label, /** @type {() => void} */ act) =>
    html`<li class="chip"><code>${text}</code><button aria-label=${label} title=${label} onClick=${act}>×</button></li>`;
  return html`<div class="parts">
    <span>only</span><ul aria-label="Conditions">${found.conditions.map(({ text }, number) =>
      chip(text, `Leave out ${text}`, () => write(withoutCondition(sql, block, number))))}
      <li><button class="add" aria-label="Add a condition" onClick=${() => setAdds(adds === "filter" ? "" : "filter")}>+</button></li></ul>
    ${block.clauses.group && html`<span>by</span><ul aria-label="Keys">${keys.map(({ text }) =>
      chip(text, `Leave out ${text}`, () => write(withoutKey(sql, block, text))))}
      <li><button class="add" aria-label="Add a key" onClick=${() => setAdds(adds === "key" ? "" : "key")}>+</button></li></ul>`}
    ${window && /^tumble\s*\(/i.test(window.text) && html`<label>each <select value=${length}
      onChange=${(/** @type {any} */ event) => write(withWindow(sql, window, event.target.value))}>
      ${lengths.map((text) => html`<option>${text}</option>`)}</select></label>`}
    ${adds && html`<form onSubmit=${add}><input name="text" list="columns" autofocus autocomplete="off" spellcheck=${false}
      aria-label=${adds === "key" ? "A key" : "A condition"} placeholder=${adds === "key" ? "dst_port" : "dst_port = 443"} />
      <datalist id="columns">${columns.map((name) => html`<option value=${name} />`)}</datalist><button>Add</button></form>`}
  </div>`;
}

/** Registers the question under a name, or puts it in the place of one. @param {{ sql: string, params: Record<string, string>, isRight: boolean }} props */
function Keep({ sql, params, isRight }) {
  const [said, say] = useState("");
  const [early, setEarly] = useState(params.early ?? "");
  const replaced = params.name;
  const keep = async (/** @type {any} */ event) => {
    event.preventDefault();
    const form = new FormData(event.target);
    const text = (/** @type {string} */ field) => form.get(field)?.toString().trim() ?? "";
    const name = replaced ?? text("name");
    if (!NAME.test(name)) {
      say("A name is letters, digits, _ and -, and begins with a letter or a digit.");
      return;
    }
    const options = { ...kept(params), ...(early ? { early } : {}), ...(text("note") ? { note: text("note") } : {}) };
    try {
      if (replaced) await ask("PUT", pathOf(name), { body: { sql, options } });
      else await ask("POST", "/api/v1/queries", { body: { name, sql, options } });
      lookNow();
      go(["query", name]);
    } catch (error) {
      say(inWords(/** @type {Error} */ (error).message));
    }
  };
  return html`<form class="keep" onSubmit=${keep}>
    ${replaced ? html`<span>in the place of <a href=${link(["query", replaced])}>${replaced}</a></span>`
      : html`<input name="name" aria-label="Name" placeholder="name" autocomplete="off" spellcheck=${false} />`}
    <input name="note" aria-label="Note" placeholder="what it is for" value=${params.note ?? ""} autocomplete="off" />
    <input name="early" class="tight" aria-label="Early results every" placeholder="early: 5s" value=${early}
      onInput=${(/** @type {any} */ event) => setEarly(event.target.value.trim())} autocomplete="off" />
    <button disabled=${!isRight}>${replaced ? "Replace" : "Keep"}</button>
    <span class="problem" role="alert">${said}</span>
  </form>`;
}

/** What was said of the query that is replaced and is not asked for here. @param {Record<string, string>} params */
function kept(params) {
  try {
    return params.options ? JSON.parse(params.options) : {};
  } catch {
    return {};
  }
}

/** @param {{ run: Run, sql: string, params: Record<string, string>, onKey: (column: any, value: any, isExcluded: boolean) => void }} props */
function Preview({ run, sql, params, onKey }) {
  if (run.state === "") return html`<p class="nothing">Run shows the next three windows, and forgets them.</p>`;
  const windows = run.windows.list();
  const waited = (Date.now() - run.started) / 1000;
  return html`<section class="preview" aria-label="Preview">
    <p class="said ${run.state}" role="status">${saidOf(run, windows.length, waited)}${run.of !== sql
      && html` <em>The text has changed since.</em>`}</p>
    ${(windows.length > 0 || run.windows.loose.length > 0) && html`<${Result} name="preview" sql=${run.of} schema=${run.schema}
      windows=${windows} loose=${run.windows.loose} params=${params} amend=${amend} onKey=${onKey} />`}
  </section>`;
}

/** @param {Run} run @param {number} windows @param {number} waited */
function saidOf(run, windows, waited) {
  if (run.state === "failed") return `It failed: ${run.said}`;
  if (run.state === "done") {
    if (run.said) return run.said;
    return windows || run.windows.loose.length ? `Done at ${clock(Date.now())}: ${run.whole} of ${PREVIEW_WINDOWS} windows.` : "It ended, and no row came.";
  }
  if (run.whole > 0) return `${run.whole} of ${PREVIEW_WINDOWS} windows are whole …`;
  if (windows > 0) return "This is what came so far; windows close some time behind their end, for what comes late.";
  const seconds = windowSeconds(run.of);
  return `Waiting for ${duration(waited)}${seconds ? `; a window takes ${duration(seconds)}, and some time more for what comes late` : ""} …`;
}
