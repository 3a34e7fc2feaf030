/**
 * The last minutes of a source, second by second: what became of what was offered, stacked.
 *
 * What is not delivered is drawn at least as thick as can be seen. When nobody looked, there is a gap.
 */
import { FATES, heights } from "../fates.js";
import { clock, short } from "../format.js";
import { html } from "../../vendor/preact.js";
import { useWidth } from "./width.js";

/** @typedef {import("../fates.js").Second} Second */

const HEIGHT = 74;
const LEAST = 3;
/** How much time it shows. */
export const SPAN_MS = 180_000;
/** A look that comes later than this was one of a page that nobody saw. */
const LOOK_MS = 12_000;

/**
 * @param {{ seconds: Second[], fates: string[], until: number, chosen: number | null, label: string,
 *   onAsk: (fate: string | null) => void }} props The fate of the band that was clicked; `null` beside all bands.
 */
export function Seconds({ seconds, fates, until, chosen, label, onAsk }) {
  const [element, width] = useWidth();
  const shown = seconds.filter(({ from, at }) => until - at < SPAN_MS && at - from < LOOK_MS);
  const total = (/** @type {Second} */ { values }) => fates.reduce((sum, fate) => sum + Math.max(0, values[fate]), 0);
  const max = Math.max(1e-9, ...shown.map(total));
  const x = (/** @type {number} */ at) => Math.max(0, width - ((until - at) / SPAN_MS) * width);
  const click = (/** @type {any} */ event) => onAsk(event.target.getAttribute("data-fate"));
  const newest = shown.at(-1);
  const told = `${label}, second by second: at most ${short(max)} a second${newest ? `, now ${short(total(newest))}` : ""}`;
  return html`<div class="chart seconds" ref=${element}>
    ${width > 0 && html`<svg width=${width} height=${HEIGHT} viewBox="0 0 ${width} ${HEIGHT}" role="img" aria-label=${told} onClick=${click}>
      <path class="base" d="M0 ${HEIGHT - 0.5}H${width}" />
      ${shown.map((second) => barOf(second, { fates, max, left: x(second.from), right: x(second.at), isChosen: second.at === chosen }))}
    </svg>`}
  </div>`;
}

/** @param {Second} second @param {{ fates: string[], max: number, left: number, right: number, isChosen: boolean }} place */
function barOf({ at, values }, { fates, max, left, right, isChosen }) {
  const width = Math.max(1, right - left - (right - left > 3 ? 1 : 0));
  const all = heights(fates.map((fate) => values[fate]), HEIGHT - 6, max, LEAST);
  let base = HEIGHT - 1;
  return html`<g class=${isChosen ? "chosen" : ""}>
    <rect class="room" x=${left} y="0" width=${Math.max(1, right - left)} height=${HEIGHT}><title>${clock(at)}: ask for each second</title></rect>
    ${fates.map((fate, number) => {
      if (all[number] === 0) return null;
      base -= all[number];
      return html`<rect class="fate ${fate}" data-fate=${fate} x=${left} y=${base} width=${width} height=${all[number]}
        style=${{ fill: FATES[fate].colour }}><title>${clock(at)}: ${short(values[fate])} ${fate} a second, ${FATES[fate].about}; ask for it</title></rect>`;
    })}
    ${isChosen && html`<rect class="mark" x=${left} y=${HEIGHT - 2} width=${Math.max(2, right - left)} height="2" />`}
  </g>`;
}
