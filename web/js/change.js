/**
 * What can be changed at a box of the plan, and the changes as the node takes them.
 *
 * The text is changed by the node, which knows SQL; nothing else of it moves.
 */
import { html, useEffect, useRef, useState } from "../vendor/preact.js";
import { ask, inWords, schemaOfNode } from "./api.js";
import { secondsOf } from "./sql.js";

/** @typedef {import("./api.js").Box} Box */
/** @typedef {{ filters: string[], keys: string[], aggregates: string[], window: string | null, sources: string[] }} Parts */
/** @typedef {"filters" | "keys" | "aggregates" | "window" | "sources"} What */
/** @typedef {{ name: string, type: string }} Named */

const AT = /** @type {Record<string, What[]>} */ ({
  source: ["sources", "filters"], filter: ["filters"], aggregate: ["keys", "aggregates"], window: ["window"], output: ["keys", "aggregates"],
});
const TITLES = /** @type {Record<string, string>} */ ({ filter: "Filter", aggregate: "Groups", window: "Window", output: "Result" });
const LENGTHS = ["1 second", "5 seconds", "10 seconds", "1 minute", "5 minutes", "1 hour"];
const TEXTS = ["text", "address", "mac", "bytes", "timestamp"];
/** Room that it needs below a box. */
const ROOM = 300;
const WIDTH = 340;

/** What can be changed at a box; nothing where only the text says it. @param {Box} box */
export const changesAt = ({ kind }) => AT[kind] ?? [];

/** Whether the SELECT is meant that gives the result: where groups are folded once more, once a window. @param {Box} box @param {Box[]} boxes */
export const isOutermost = (box, boxes) =>
  (box.kind === "aggregate" && box.runs === "window") || (box.kind === "output" && boxes.some(({ kind, runs }) => kind === "aggregate" && runs === "window"));

/** A value as somebody types it. @param {string} text @param {string | undefined} type of its column */
export function valueOf(text, type) {
  if (/^null$/i.test(text)) return null;
  const isText = type !== undefined && TEXTS.includes(type);
  if (!isText && /^(true|false)$/i.test(text)) return text.toLowerCase() === "true";
  // Beyond this, JSON's numbers are not exact any more, and SQL reads a text as well.
  if (!isText && /^-?\d+(\.\d+)?$/.test(text) && Math.abs(Number(text)) <= Number.MAX_SAFE_INTEGER) return Number(text);
  return text.replace(/^'(.*)'$/, "$1");
}

/** @param {string} sql @param {unknown} change @param {boolean} outermost @returns {Promise<{ sql: string, parts: Parts }>} */
const edit = (sql, change, outermost) => ask("POST", "/api/v1/edit", { body: change ? { sql, change, outermost } : { sql, outermost } });

/**
 * A small window beside a box.
 * @param {{ box: Box, boxes: Box[], at: Element, sql: string, sources: string[], write: (sql: string) => void, onClose: () => void }} props
 */
export function ChangeBox({ box, boxes, at, sql, sources, write, onClose }) {
  const element = useRef(/** @type {any} */ (null));
  const [parts, setParts] = useState(/** @type {Parts | null} */ (null));
  const [said, say] = useState("");
  const [columns, setColumns] = useState(/** @type {Named[]} */ ([]));
  const outermost = isOutermost(box, boxes);
  useEffect(() => {
    const { left, top, bottom } = at.getBoundingClientRect();
    const own = element.current;
    own.style.left = `${Math.max(8, Math.min(left, innerWidth - WIDTH - 8))}px`;
    own.style.top = innerHeight - bottom > ROOM || top < ROOM ? `${Math.min(bottom + 6, innerHeight - 120)}px` : "auto";
    own.style.bottom = own.style.top === "auto" ? `${innerHeight - top + 6}px` : "auto";
    own.showPopover();
    own.focus();
    schemaOfNode().then(({ streams }) => setColumns(streams.filter((/** @type {any} */ { name }) => new RegExp(`\\b${name}\\b`, "i").test(sql))
      .flatMap((/** @type {any} */ stream) => stream.columns))).catch(() => {});
  }, []);
  useEffect(() => {
    let isOld = false;
    edit(sql, null, outermost).then((answer) => isOld || setParts(answer.parts)).catch((error) => isOld || say(inWords(error.message)));
    return () => {
      isOld = true;
    };
  }, [sql]);
  const change = async (/** @type {unknown} */ wanted) => {
    try {
      const answer = await edit(sql, wanted, outermost);
      say("");
      setParts(answer.parts);
      write(answer.sql);
    } catch (error) {
      say(inWords(/** @type {Error} */ (error).message));
    }
  };
  const whats = changesAt(box);
  // What it says itself changes with it.
  const title = TITLES[box.kind] ?? box.title;
  const close = (/** @type {any} */ event) => event.newState === "closed" && onClose();
  return html`<div class="change" popover="auto" role="dialog" aria-label="Change ${title}" tabindex="-1" ref=${element} onToggle=${close}>
    <header><b>${title}</b><button class="link" aria-label="Close" title="Close (Esc)" onClick=${() => element.current.hidePopover()}>×</button></header>
    ${whats.length === 0 && html`<p class="quiet">This part is changed in the text.</p>`}
    ${parts && whats.map((what) => html`<${Part} key=${what} what=${what} parts=${parts} columns=${columns} sources=${sources} change=${change} />`)}
    <p class="problem" role="alert">${said}</p>
  </div>`;
}

/** @typedef {{ what: What, parts: Parts, columns: Named[], sources: string[], change: (wanted: unknown) => void }} PartProps */

/** @param {PartProps} props */
function Part(props) {
  const { what, parts, columns, change } = props;
  if (what === "sources") return html`<${Sources} ...${props} />`;
  if (what === "window") return html`<${WindowOf} ...${props} />`;
  const { title, drop, add } = LISTS[what];
  const submit = (/** @type {any} */ event) => {
    event.preventDefault();
    const form = new FormData(event.target);
    const wanted = add((/** @type {string} */ field) => form.get(field)?.toString().trim() ?? "", columns);
    if (!wanted) return;
    event.target.reset();
    change(wanted);
  };
  return html`<fieldset><legend>${title}</legend>
    <ul>${parts[what].map((text, number) => html`<li class="chip"><code title=${text}>${text}</code>
      <button aria-label="Leave out ${text}" title="Leave out" onClick=${() => change(drop(text, number))}>×</button></li>`)}</ul>
    <form onSubmit=${submit}>${fieldsOf(what)}<button>Add</button></form>
    <datalist id="columns-of-change">${columns.map(({ name }) => html`<option value=${name} />`)}</datalist>
  </fieldset>`;
}

/** @typedef {(field: string) => string} Fields */

const LISTS = /** @type {const} */ ({
  filters: {
    title: "Only rows in which", drop: (/** @type {string} */ _, /** @type {number} */ number) => ({ drop_filter: number }),
    add: (/** @type {Fields} */ field, /** @type {Named[]} */ columns) => field("column") && {
      add_filter: {
        column: field("column"), negated: field("is") === "not",
        value: valueOf(field("value"), columns.find(({ name }) => name === field("column"))?.type),
      },
    },
  },
  keys: {
    title: "Grouped by", drop: (/** @type {string} */ text) => ({ drop_key: text }),
    add: (/** @type {Fields} */ field) => field("text") && { add_key: field("text") },
  },
  aggregates: {
    title: "Of each group", drop: (/** @type {string} */ text) => ({ drop_aggregate: text }),
    add: (/** @type {Fields} */ field) => field("text") && { add_aggregate: field("text") },
  },
});

/** @param {keyof LISTS} what */
function fieldsOf(what) {
  const text = (/** @type {string} */ name, /** @type {string} */ label, /** @type {string} */ hint) => html`<input name=${name} aria-label=${label}
    placeholder=${hint} list=${name === "value" ? undefined : "columns-of-change"} autocomplete="off" spellcheck=${false} />`;
  if (what === "keys") return text("text", "A key", "dst_port");
  if (what === "aggregates") return text("text", "An aggregate", "sum(octets) AS octets");
  return html`${text("column", "Column", "dst_port")}<select name="is" aria-label="Is or is not"><option value="">is</option><option value="not">is not</option></select>
    ${text("value", "Value", "443")}`;
}

/** @param {PartProps} props */
function WindowOf({ parts, change }) {
  const seconds = /^tumble/i.test(parts.window ?? "") ? secondsOf(parts.window ?? "") : null;
  const write = (/** @type {any} */ event) => {
    event.preventDefault();
    const text = new FormData(event.target).get("window")?.toString().trim();
    if (text) change({ window: text });
  };
  return html`<fieldset><legend>Window</legend>
    <div class="lengths">${LENGTHS.map((text) => html`<button aria-pressed=${secondsOf(`'${text}'`) === seconds} onClick=${() => change({ window: `tumble('${text}')` })}>${text}</button>`)}</div>
    <form onSubmit=${write} key=${parts.window}><input name="window" aria-label="Window as SQL" value=${parts.window ?? ""} placeholder="hop('1 second', '10 seconds')" autocomplete="off" spellcheck=${false} />
      <button>Set</button></form>
  </fieldset>`;
}

/** @param {PartProps} props */
function Sources({ parts, sources, change }) {
  const names = [...new Set([...sources, ...parts.sources])];
  const toggle = (/** @type {string} */ name) => {
    const left = parts.sources.includes(name) ? parts.sources.filter((known) => known !== name) : [...parts.sources, name];
    change({ source: left.length ? left : null });
  };
  return html`<fieldset><legend>Of which sources</legend>
    <label class="check"><input type="checkbox" checked=${parts.sources.length === 0} onChange=${() => change({ source: null })} /> all</label>
    ${names.map((name) => html`<label class="check"><input type="checkbox" checked=${parts.sources.includes(name)} onChange=${() => toggle(name)} /> ${name}</label>`)}
  </fieldset>`;
}
