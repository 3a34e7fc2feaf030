/**
 * Server-Sent Events: the windows of a query, as they come.
 *
 * A connection that is lost is tried again, later each time, and whoever watches hears of it. A preview is an answer to
 * a POST, which EventSource does not know, so its events are read here.
 */
import { pathOf, send } from "./api.js";

const FIRST_MS = 1000;
const LAST_MS = 15_000;

/**
 * @typedef {{ window_start: string | null, window_end: string | null, status: string, completeness: number | null,
 *   rows: Record<string, any>[] }} Window
 */

/**
 * Watches a query until the function that it gives is called.
 * @param {string} name
 * @param {{ kept: number, onWindow: (window: Window) => void, onState: (state: "open" | "lost", again: number) => void,
 *   onLost: (results: number) => void }} handlers
 */
export function watch(name, { kept, onWindow, onState, onLost }) {
  /** @type {EventSource | null} */
  let source = null;
  /** @type {number | undefined} */
  let timer;
  let wait = FIRST_MS;
  const open = () => {
    source = new EventSource(`${pathOf(name)}/stream?kept=${kept}`);
    source.onopen = () => {
      wait = FIRST_MS;
      onState("open", 0);
    };
    source.addEventListener("window", (event) => onWindow(JSON.parse(event.data)));
    source.addEventListener("lost", (event) => onLost(JSON.parse(event.data).results));
    source.onerror = () => {
      // By itself it would try at once, for ever, and say nothing.
      source?.close();
      onState("lost", wait);
      timer = setTimeout(open, wait * (0.8 + 0.4 * Math.random()));
      wait = Math.min(LAST_MS, wait * 2);
    };
  };
  open();
  return () => {
    source?.close();
    clearTimeout(timer);
  };
}

/**
 * Reads events as they stand in the octets of an answer: name and data of each.
 * @param {ReadableStream<Uint8Array>} body
 */
export async function* events(body) {
  const decoder = /** @type {TransformStream<Uint8Array, string>} */ (new TextDecoderStream());
  const reader = body.pipeThrough(decoder).getReader();
  let text = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    text = (text + value).replaceAll("\r\n", "\n");
    const blocks = text.split("\n\n");
    text = blocks.pop() ?? "";
    for (const block of blocks) {
      const event = eventOf(block);
      if (event) yield event;
    }
  }
}

/** @param {string} block */
function eventOf(block) {
  let name = "message";
  const data = [];
  for (const line of block.split("\n")) {
    const [, field, value] = /^([^:]*):? ?(.*)$/.exec(line) ?? [];
    if (field === "event") name = value;
    if (field === "data") data.push(value);
  }
  return data.length === 0 ? null : { name, data: JSON.parse(data.join("\n")) };
}

/**
 * Runs a query for so many windows; ends with them, or when the signal says so.
 * @param {{ sql: string, options: object, windows: number }} asked
 * @param {{ onSchema: (schema: import("./api.js").Column[]) => void, onWindow: (window: Window) => void,
 *   onLost: (results: number) => void }} handlers
 * @param {AbortSignal} signal
 */
export async function preview(asked, { onSchema, onWindow, onLost }, signal) {
  const answer = await send("POST", "/api/v1/preview", { body: asked, signal, accept: "text/event-stream" });
  if (!answer.body) return;
  for await (const { name, data } of events(answer.body)) {
    if (name === "schema") onSchema(data);
    if (name === "window") onWindow(data);
    if (name === "lost") onLost(data.results);
    if (name === "failed") throw new Error(data.detail);
  }
}
