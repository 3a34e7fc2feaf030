/**
 * The windows of a query that are known here.
 *
 * One comes several times: early, again early, at last whole, and beside it the folded row of groups beyond the cap.
 * The newest of each kind holds; an early one ends with the whole one.
 */

/** @typedef {import("./events.js").Window} Window */
/**
 * @typedef {{ key: string, start: number, end: number, status: string, completeness: number | null,
 *   rows: Record<string, any>[], folded: Record<string, any>[] }} Known
 */

export class Windows {
  /** @param {number} max */
  constructor(max) {
    this.max = max;
    /** @type {Map<string, { whole: Window | null, folded: Window | null }>} */
    this.parts = new Map();
    /** @type {Record<string, any>[]} */
    this.loose = [];
  }

  /** @param {Window} window */
  put(window) {
    if (window.window_start === null) {
      this.loose = [...window.rows.toReversed(), ...this.loose].slice(0, 1000);
      return;
    }
    const key = `${window.window_start}/${window.window_end}`;
    const parts = this.parts.get(key) ?? { whole: null, folded: null };
    // What is revised comes as a whole: its folded row behind it, where there is one.
    if (window.status === "revised") parts.folded = null;
    if (window.status === "folded") parts.folded = window;
    else if (!parts.whole || parts.whole.status === "early" || window.status !== "early") parts.whole = window;
    this.parts.set(key, parts);
    if (this.parts.size > this.max) this.#forget();
  }

  #forget() {
    const oldest = [...this.parts.keys()].sort().slice(0, this.parts.size - this.max);
    oldest.forEach((key) => this.parts.delete(key));
  }

  /** Oldest first. @returns {Known[]} */
  list() {
    const known = [...this.parts].map(([key, { whole, folded }]) => {
      const window = /** @type {Window} */ (whole ?? folded);
      return {
        key,
        start: Date.parse(/** @type {string} */ (window.window_start)),
        end: Date.parse(/** @type {string} */ (window.window_end)),
        status: window.status,
        completeness: window.completeness,
        rows: window.rows,
        folded: whole && folded ? folded.rows : [],
      };
    });
    return known.sort((a, b) => a.end - b.end || a.start - b.start);
  }
}

/** Whether all of a window arrived, as far as anybody knows. @param {{ completeness: number | null }} window */
export const isComplete = ({ completeness }) => completeness === null || completeness >= 1;

/** Whether a window was not over, or not seen from its beginning. @param {{ status: string }} window */
export const isHollow = ({ status }) => status === "early" || status === "partial";
