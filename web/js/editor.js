/**
 * The editor of SQL: colours, completion of what the node knows, and errors at their place.
 *
 * It stands in a shadow root, since there its styles need no exception from the page's policy.
 */
import {
  Compartment, EditorState, EditorView, HighlightStyle, PostgreSQL, Prec, acceptCompletion, autocompletion, bracketMatching,
  completionKeymap, defaultKeymap, drawSelection, history, historyKeymap, keymap, lineNumbers, placeholder, setDiagnostics,
  sql, syntaxHighlighting, tags,
} from "../vendor/codemirror.js";

/**
 * @typedef {{ name: string, about: string, columns: { name: string, type: string, unit: string, about: string }[] }} Stream
 * @typedef {{ streams: Stream[], functions: { name: string, call?: string, about?: string }[] }} Schema
 */

const KEYWORDS = (
  "SELECT FROM WHERE GROUP BY HAVING ORDER LIMIT AND OR NOT IN IS NULL BETWEEN LIKE AS CASE WHEN THEN ELSE END DISTINCT " +
  "FILTER DESC ASC UNION ALL JOIN ON WITH EXPLAIN"
).split(" ");

const COLOURS = HighlightStyle.define([
  { tag: tags.keyword, color: "var(--keyword)", fontWeight: "600" },
  { tag: [tags.string, tags.special(tags.string)], color: "var(--string)" },
  { tag: [tags.number, tags.bool, tags.null], color: "var(--figure)" },
  { tag: [tags.lineComment, tags.blockComment], color: "var(--muted)", fontStyle: "italic" },
]);

const LOOK = EditorView.theme({
  "&": { height: "100%", fontSize: "13px", color: "var(--text)", backgroundColor: "var(--panel)" },
  "&.cm-focused": { outline: "none" },
  ".cm-scroller": { fontFamily: "var(--mono)", lineHeight: "1.55" },
  ".cm-content": { caretColor: "var(--text)", padding: "8px 0" },
  ".cm-cursor": { borderLeftColor: "var(--text)" },
  ".cm-gutters": { backgroundColor: "var(--panel)", color: "var(--muted)", border: "none" },
  ".cm-selectionBackground, &.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground": {
    backgroundColor: "var(--select)",
  },
  ".cm-matchingBracket": { backgroundColor: "var(--select)" },
  ".cm-placeholder": { color: "var(--muted)" },
  ".cm-tooltip": {
    backgroundColor: "var(--panel)", color: "var(--text)", border: "1px solid var(--line)", borderRadius: "4px",
    boxShadow: "0 4px 16px var(--shade)",
  },
  ".cm-tooltip.cm-tooltip-autocomplete > ul": { fontFamily: "var(--mono)", maxHeight: "18em" },
  ".cm-tooltip.cm-tooltip-autocomplete > ul > li": { padding: "2px 8px" },
  ".cm-tooltip-autocomplete ul li[aria-selected]": { backgroundColor: "var(--accent)", color: "var(--on-accent)" },
  ".cm-completionDetail": { color: "inherit", opacity: "0.75", fontStyle: "normal", marginLeft: "1em" },
  ".cm-completionInfo": { maxWidth: "26em", padding: "6px 10px" },
  ".cm-diagnostic": { borderLeft: "3px solid var(--bad)", padding: "5px 10px" },
  ".cm-lintRange-error": {
    backgroundImage: "none", textDecoration: "underline wavy var(--bad)", textDecorationSkipInk: "none",
    textUnderlineOffset: "3px",
  },
});

/** What may be written at a place: columns of the streams that are named, functions, streams, words of SQL. @param {Schema} schema */
const completions = (schema) => (/** @type {any} */ context) => {
  const word = context.matchBefore(/\w*/);
  if (!word || (word.from === word.to && !context.explicit)) return null;
  const text = context.state.doc.toString().toLowerCase();
  const named = schema.streams.filter((stream) => new RegExp(`\\b${stream.name}\\b`).test(text));
  const streams = schema.streams.map(({ name, about }) => ({ label: name, type: "class", detail: "stream", info: about, boost: 2 }));
  const columns = (named.length ? named : schema.streams).flatMap((stream) => stream.columns.map((column) => ({
    label: column.name, type: "property", detail: [column.type, column.unit].filter(Boolean).join(", "), info: column.about, boost: 3,
  })));
  const functions = schema.functions.map(({ name, call, about }) => ({
    label: name, type: "function", detail: call?.slice(name.length), info: about, apply: `${name}(`, boost: call ? 1 : -1,
  }));
  const words = KEYWORDS.map((label) => ({ label, type: "keyword" }));
  const sensors = context.matchBefore(/\bon\s+\w*/i) ? [{
    label: "SENSORS", type: "keyword", detail: "'pop-*', 'lab-?'", info: "on which sensors of an aggregator a statement runs",
    apply: "SENSORS '", boost: 4,
  }] : [];
  const once = new Map([...words, ...sensors, ...functions, ...streams, ...columns].map((option) => [`${option.type} ${option.label}`, option]));
  return { from: word.from, options: [...once.values()], validFor: /^\w*$/ };
};

/**
 * Puts an editor into an element.
 * @param {HTMLElement} host
 * @param {{ text: string, onChange: (text: string) => void, onRun: () => void }} options
 */
export function editor(host, { text, onChange, onRun }) {
  const root = host.shadowRoot ?? host.attachShadow({ mode: "open" });
  const known = new Compartment();
  const run = () => {
    onRun();
    return true;
  };
  const view = new EditorView({
    parent: /** @type {any} */ (root),
    root,
    state: EditorState.create({
      doc: text,
      extensions: [
        Prec.highest(keymap.of([{ key: "Mod-Enter", run }, { key: "Tab", run: acceptCompletion }])),
        lineNumbers(), history(), drawSelection(), bracketMatching(), EditorView.lineWrapping,
        sql({ dialect: PostgreSQL }), known.of([]), syntaxHighlighting(COLOURS), LOOK,
        placeholder("SELECT …"),
        keymap.of([...completionKeymap, ...historyKeymap, ...defaultKeymap]),
        EditorView.contentAttributes.of({ "aria-label": "SQL" }),
        EditorView.updateListener.of((/** @type {any} */ update) => update.docChanged && onChange(update.state.doc.toString())),
      ],
    }),
  });
  return {
    /** @param {Schema} schema */
    know(schema) {
      view.dispatch({ effects: known.reconfigure(autocompletion({ override: [completions(schema)], icons: false })) });
    },
    /** @param {string} now */
    write(now) {
      const { doc } = view.state;
      if (doc.toString() !== now) view.dispatch({ changes: { from: 0, to: doc.length, insert: now } });
    },
    /** Marks what is wrong at a place; nothing where all is right. @param {string | null} message @param {import("./api.js").Place | null} place */
    mark(message, place) {
      const diagnostics = message && place ? [{ ...wordAt(view.state.doc, place), severity: "error", message }] : [];
      view.dispatch(setDiagnostics(view.state, diagnostics));
    },
    focus: () => view.focus(),
    destroy: () => view.destroy(),
  };
}

/** The word that begins at a line and a column, each from 1. @param {any} doc @param {import("./api.js").Place} place */
function wordAt(doc, place) {
  const line = doc.line(Math.max(1, Math.min(doc.lines, place.line)));
  // Columns are characters, and places here UTF-16.
  const before = [...line.text].slice(0, Math.max(0, place.column - 1)).join("").length;
  const from = Math.min(line.to, line.from + before);
  const word = /^(?:'[^']*'|"[^"]*"|[\w.]+|\S)/.exec(doc.sliceString(from, line.to))?.[0] ?? "";
  const to = Math.min(line.to, from + Math.max(1, word.length));
  return to > from ? { from, to } : { from: Math.max(0, from - 1), to: from };
}
