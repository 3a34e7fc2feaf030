/**
 * Requests to the node. What it refuses comes as a Problem: its sentence, and the place in the text that is wrong.
 */

/** @typedef {{ line: number, column: number }} Place */
/** @typedef {{ name: string, type: string }} Column */
/** @typedef {{ id: string, kind: string, title: string, lines: string[], runs: string }} Box */
/** @typedef {{ boxes: Box[], arrows: { from: string, to: string }[] }} Diagram */
/** @typedef {{ text: string, schema: Column[], streams: string[], sources: string[], diagram?: Diagram }} Explained */

export class Problem extends Error {
  /** @param {number} status @param {string} detail @param {Place | null} place */
  constructor(status, detail, place) {
    super(detail);
    this.status = status;
    this.place = place;
  }
}

/** No answer came: the node is gone, or too slow. */
export const GONE = 0;

/**
 * @param {string} method
 * @param {string} path
 * @param {{ body?: unknown, signal?: AbortSignal, accept?: string }} [options]
 * @returns {Promise<Response>}
 */
export async function send(method, path, { body, signal, accept } = {}) {
  /** @type {Record<string, string>} */
  const headers = {};
  if (accept) headers.accept = accept;
  if (body !== undefined) headers["content-type"] = "application/json";
  /** @type {Response} */
  let answer;
  try {
    answer = await fetch(path, { method, headers, signal, body: body === undefined ? null : JSON.stringify(body) });
  } catch (error) {
    if (signal?.aborted && signal.reason?.name !== "TimeoutError") throw error;
    throw new Problem(GONE, "the node does not answer", null);
  }
  if (answer.ok) return answer;
  const said = await answer.json().catch(() => ({}));
  throw new Problem(answer.status, said.detail ?? answer.statusText, said.place ?? null);
}

/** @param {string} method @param {string} path @param {{ body?: unknown, signal?: AbortSignal }} [options] */
export async function ask(method, path, options) {
  const answer = await send(method, path, options);
  return answer.status === 204 ? null : answer.json();
}

/** @param {string} name */
export const pathOf = (name) => `/api/v1/queries/${encodeURIComponent(name)}`;

/** @type {Promise<any> | null} */
let schema = null;

/** The streams and functions that SQL may name; asked for once. */
export function schemaOfNode() {
  schema ??= ask("GET", "/api/v1/schema").catch((error) => {
    schema = null;
    throw error;
  });
  return schema;
}
