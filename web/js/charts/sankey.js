/**
 * What flows from where to where: nodes in columns, bands between them.
 *
 * As high as its nodes need, so that labels never lie over each other.
 */
import { sankey, sankeyLinkHorizontal } from "../../vendor/d3-sankey.js";
import { html } from "../../vendor/preact.js";
import { useWidth } from "./width.js";

/**
 * @typedef {{ id: string, label: string, layer: number, colour?: string, title?: string, act?: (event: any) => void,
 *   hint?: string }} Node
 * @typedef {{ source: string, target: string, value: number, title: string, href?: string, colour?: string }} Link
 */

const NODE_WIDTH = 10;
const NODE_ROOM = 21;
/** Widths of characters: of labels, and of the figures behind them. */
const CHARACTER = 7.3;
const FIGURE = 6.2;
const HEIGHT_MIN = 140;
/** The part of the width that labels of one side may take. */
const LABELS_MAX = 0.3;

/** Room for the labels of one side. @param {Node[]} nodes @param {number} width */
function roomOf(nodes, width) {
  const longest = Math.max(...nodes.map((node) => node.label.length));
  return Math.min(longest * CHARACTER + 8 * FIGURE + 14, width * LABELS_MAX);
}

/** @param {Node[]} nodes @param {Link[]} links @param {number} width */
function layout(nodes, links, width) {
  const layers = new Map();
  for (const node of nodes) layers.set(node.layer, (layers.get(node.layer) ?? 0) + 1);
  const height = Math.max(HEIGHT_MIN, Math.max(...layers.values()) * NODE_ROOM + 16);
  const last = Math.max(...layers.keys());
  const [left, right] = [0, last].map((layer) => roomOf(nodes.filter((node) => node.layer === layer), width));
  const graph = sankey()
    .nodeId((/** @type {Node} */ node) => node.id)
    .nodeAlign((/** @type {Node} */ node, /** @type {number} */ depth) => Math.min(node.layer, depth - 1))
    .nodeSort(null)
    .linkSort(null)
    .nodeWidth(NODE_WIDTH)
    .nodePadding(Math.max(7, NODE_ROOM - 8))
    .extent([[left, 8], [Math.max(left + 40, width - right), height - 8]])({
      nodes: nodes.map((node) => ({ ...node })),
      links: links.map((link) => ({ ...link })),
    });
  return { graph, height, left, right, last };
}

/** As much of a text as fits. @param {string} text @param {number} room */
function fit(text, room) {
  const most = Math.max(4, Math.floor(room / CHARACTER));
  return text.length > most ? `${text.slice(0, most - 1)}…` : text;
}

/** @param {{ nodes: Node[], links: Link[], label: string, format: (value: number) => string }} props */
export function Sankey({ nodes, links, label, format }) {
  const [element, width] = useWidth();
  const positive = links.filter((link) => link.value > 0);
  const used = new Set(positive.flatMap((link) => [link.source, link.target]));
  const left = nodes.filter((node) => used.has(node.id));
  return html`<div class="chart flow" ref=${element}>
    ${width > 0 && positive.length > 0 && drawing(left, positive, width, label, format)}
    ${positive.length === 0 && html`<p class="nothing">There is nothing to draw: no value is above 0.</p>`}
  </div>`;
}

/** @param {Node[]} nodes @param {Link[]} links @param {number} width @param {string} label @param {(value: number) => string} format */
function drawing(nodes, links, width, label, format) {
  const { graph, height, left, right, last } = layout(nodes, links, width);
  const path = sankeyLinkHorizontal();
  return html`<svg width=${width} height=${height} viewBox="0 0 ${width} ${height}" role="group" aria-label=${label}>
    ${graph.links.map((/** @type {any} */ link) => {
      const band = html`<path class="band" d=${path(link)} stroke-width=${Math.max(1.5, link.width)}
        style=${{ stroke: link.colour ?? link.source.colour ?? "var(--c0)" }}><title>${link.title}</title></path>`;
      return link.href ? html`<a href=${link.href} aria-label=${link.title}>${band}</a>` : band;
    })}
    ${graph.nodes.map((/** @type {any} */ node) => nodeOf(node, node.layer === last ? right : left, last, format))}
  </svg>`;
}

/** @param {any} node @param {number} room @param {number} last @param {(value: number) => string} format */
function nodeOf(node, room, last, format) {
  const isLast = node.layer === last && last > 0;
  const isMiddle = node.layer > 0 && !isLast;
  const x = isLast || isMiddle ? node.x1 + 6 : node.x0 - 6;
  const figure = format(node.value);
  const text = fit(node.label, isMiddle ? 110 : room - 12 - figure.length * FIGURE);
  const acts = node.act ? { role: "button", tabindex: 0, onClick: node.act, onKeyDown: onEnter(node.act) } : {};
  const title = `${node.title ?? node.label}: ${figure}${node.hint ? ` — ${node.hint}` : ""}`;
  return html`<g class=${node.act ? "node acts" : "node"} ...${acts} aria-label=${node.act ? title : undefined}>
    <title>${title}</title>
    <rect x=${node.x0} y=${node.y0} width=${node.x1 - node.x0} height=${Math.max(1.5, node.y1 - node.y0)}
      style=${{ fill: node.colour ?? "var(--muted)" }} />
    <text x=${x} y=${(node.y0 + node.y1) / 2} dy="0.35em" text-anchor=${isLast || isMiddle ? "start" : "end"}>
      ${text}<tspan class="figure" dx="5">${figure}</tspan></text>
  </g>`;
}

/** @param {(event: any) => void} act */
const onEnter = (act) => (/** @type {KeyboardEvent} */ event) => {
  if (event.key !== "Enter" && event.key !== " ") return;
  event.preventDefault();
  act(event);
};
