/**
 * A line as small as a word: what a counter rose by, second by second, and below it in red what was missing.
 */
import { html } from "../../vendor/preact.js";
import { short } from "../format.js";

const WIDTH = 132;
const HEIGHT = 26;
/** How much time it shows. */
const SPAN_MS = 120_000;

/** @typedef {{ at: number, rate: number }} Point */

/** @param {Point[]} points @param {number} end @param {number} max */
function path(points, end, max) {
  const x = (/** @type {Point} */ { at }) => WIDTH - ((end - at) / SPAN_MS) * WIDTH;
  const y = (/** @type {Point} */ { rate }) => HEIGHT - 2 - (Math.max(0, rate) / max) * (HEIGHT - 5);
  return points.map((point, number) => `${number ? "L" : "M"}${x(point).toFixed(1)} ${y(point).toFixed(1)}`).join("");
}

/** @param {{ points: Point[], bad?: Point[], label: string, unit: string }} props */
export function Spark({ points, bad = [], label, unit }) {
  const end = points.at(-1)?.at ?? 0;
  const shown = points.filter((point) => end - point.at <= SPAN_MS);
  const max = Math.max(1e-9, ...shown.map((point) => point.rate));
  const line = path(shown, end, max);
  const first = shown[0];
  const last = shown.at(-1);
  const text = last ? `${label}: now ${short(last.rate)} ${unit}/s, at most ${short(max)} in two minutes` : `${label}: not known yet`;
  const at = (/** @type {Point} */ point) => WIDTH - ((end - point.at) / SPAN_MS) * WIDTH;
  return html`<svg class="spark" width=${WIDTH} height=${HEIGHT} viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label=${text}>
    <title>${text}</title>
    <path class="base" d="M0 ${HEIGHT - 1.5}H${WIDTH}" />
    ${first && last && html`<path class="area" d="${line}L${at(last).toFixed(1)} ${HEIGHT - 2}L${at(first).toFixed(1)} ${HEIGHT - 2}Z" />`}
    <path class="line" d=${line} />
    ${bad.filter((point) => point.rate > 0 && end - point.at <= SPAN_MS).map((point) =>
      html`<rect class="bad" x=${(at(point) - 1).toFixed(1)} y="1" width="2" height=${HEIGHT - 3} />`)}
  </svg>`;
}
