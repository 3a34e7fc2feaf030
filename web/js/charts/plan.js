/**
 * A query as boxes and arrows, from above to below; each box says where it runs.
 */
import { Graph, layout } from "../../vendor/dagre.js";
import { html } from "../../vendor/preact.js";

/** @typedef {import("../api.js").Diagram} Diagram */

const CHARACTER = 6.9;
/** Of titles, which are bold. */
const TITLE_CHARACTER = 7.6;
const LINE = 15;
const WIDTH_MIN = 132;
const WIDTH_MAX = 300;

/** Where boxes run. */
export const PLACES = /** @type {Record<string, string>} */ ({
  kernel: "in the kernel",
  reader: "on the thread that reads",
  worker: "on a worker, per batch",
  window: "once a window",
});

/** @param {string} text @param {number} character */
const fit = (text, character) => {
  const most = Math.floor((WIDTH_MAX - 24) / character);
  return text.length > most ? `${text.slice(0, most - 1)}…` : text;
};

/** @param {Diagram} diagram @param {boolean} isWide */
function placed(diagram, isWide) {
  const graph = new Graph();
  graph.setGraph({ rankdir: isWide ? "LR" : "TB", nodesep: 22, ranksep: isWide ? 62 : 34, marginx: 6, marginy: 6 });
  graph.setDefaultEdgeLabel(() => ({}));
  for (const box of diagram.boxes) {
    const longest = Math.max(box.title.length * TITLE_CHARACTER, ...box.lines.map((line) => line.length * CHARACTER));
    const width = Math.max(WIDTH_MIN, Math.min(WIDTH_MAX, longest + 26));
    graph.setNode(box.id, { width, height: 26 + box.lines.length * LINE + (box.lines.length ? 8 : 2) });
  }
  for (const { from, to } of diagram.arrows) graph.setEdge(from, to);
  layout(graph);
  return graph;
}

/** @param {{ x: number, y: number }[]} points */
const curve = (points) => points.map(({ x, y }, number) => `${number ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`).join("");

/**
 * @param {{ diagram: Diagram, rates?: Record<string, string>, slow?: import("../bottleneck.js").Bottleneck | null, isWide?: boolean,
 *   onBox?: (box: import("../api.js").Box, element: Element) => void }} props Rates by the kind of the box that an arrow leaves;
 *   what takes most of its thread's time; what happens when a box is clicked.
 */
export function Plan({ diagram, rates = {}, slow = null, isWide = false, onBox }) {
  const graph = placed(diagram, isWide);
  const { width, height } = graph.graph();
  const kinds = new Map(diagram.boxes.map((box) => [box.id, box.kind]));
  const places = [...new Set(diagram.boxes.map((box) => box.runs))];
  const told = diagram.boxes.map((box) => `${box.title} ${box.lines.join(", ")}`).join("; then ");
  return html`<div class="plan">
    <ul class="places" aria-label="Where it runs">${places.map((place) =>
      html`<li class="place ${place}"><i></i>${PLACES[place] ?? place}</li>`)}</ul>
    <div class="scroll" role="region" aria-label="The plan" tabindex="0">
    <svg width=${Math.ceil(width)} height=${Math.ceil(height)} viewBox="0 0 ${Math.ceil(width)} ${Math.ceil(height)}"
      role=${onBox ? "group" : "img"} aria-label=${told}>
      <defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">
        <path d="M0 0.5L8 4L0 7.5Z" /></marker></defs>
      ${graph.edges().map((/** @type {any} */ edge) => {
        const { points } = graph.edge(edge);
        const middle = points[Math.floor(points.length / 2)];
        const rate = rates[kinds.get(edge.v) ?? ""];
        return html`<g class="arrow"><path d=${curve(points)} marker-end="url(#tip)" />
          ${rate && html`<text x=${middle.x + (isWide ? 0 : 7)} y=${middle.y + (isWide ? -7 : 4)} text-anchor=${isWide ? "middle" : "start"}>${rate}</text>`}</g>`;
      })}
      ${diagram.boxes.map((box) => boxOf(box, graph.node(box.id), box.id === slow?.id ? slow : null, onBox))}
    </svg></div>
    ${slow && html`<p class="bottleneck" role="status">${slow.text}</p>`}
  </div>`;
}

/** @param {(element: Element) => void} act */
const acting = (act) => ({
  role: "button", tabindex: 0, "aria-haspopup": "dialog",
  onClick: (/** @type {any} */ event) => act(event.currentTarget),
  onKeyDown: (/** @type {any} */ event) => {
    if (event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    act(event.currentTarget);
  },
});

/**
 * @param {import("../api.js").Box} box @param {{ x: number, y: number, width: number, height: number }} place
 * @param {import("../bottleneck.js").Bottleneck | null} slow
 * @param {((box: import("../api.js").Box, element: Element) => void) | undefined} onBox
 */
function boxOf(box, { x, y, width, height }, slow, onBox) {
  const left = x - width / 2;
  const top = y - height / 2;
  const what = [box.title, box.lines.join("; ")].filter(Boolean).join(": ");
  const told = `${what}. Runs ${PLACES[box.runs] ?? box.runs}.${slow ? ` ${slow.text}` : ""}`;
  const acts = onBox ? acting((element) => onBox(box, element)) : {};
  return html`<g class="box ${box.kind} ${box.runs} ${slow ? "slow" : ""} ${onBox ? "acts" : ""}" ...${acts}>
    <title>${told}</title>
    <rect class="face" x=${left} y=${top} width=${width} height=${height} rx="4" />
    <rect class="side" x=${left} y=${top + 3} width="3" height=${height - 6} />
    <text class="title" x=${left + 13} y=${top + 17}>${fit(box.title, TITLE_CHARACTER)}</text>
    ${box.lines.map((line, number) =>
      html`<text class="says" x=${left + 13} y=${top + 34 + number * LINE}>${fit(line, CHARACTER)}</text>`)}
    ${slow && html`<text class="busy" x=${left + width} y=${top - 4} text-anchor="end">${slow.short}</text>`}
  </g>`;
}
