/**
 * How much of a window was seen, and how a source or query stands: as a mark and in words.
 */
import { html } from "../vendor/preact.js";
import { percent } from "./format.js";
import { isHollow } from "./windows.js";

const STATUS = /** @type {Record<string, string>} */ ({
  final: "", early: "so far", partial: "partial: not seen from its beginning, or not to its end", folded: "with groups beyond the cap",
  revised: "revised",
});

/** @param {{ window: { status: string, completeness: number | null }, isShort?: boolean }} props */
export function Quality({ window, isShort = false }) {
  const { status, completeness } = window;
  const mark = isHollow(window) ? "hollow" : status === "folded" ? "folded" : completeness === null ? "unknown" : completeness >= 1 ? "whole" : "hatched";
  const part = completeness === null ? "completeness unknown" : completeness >= 1 ? "complete" : `${percent(completeness)} complete`;
  const long = [STATUS[status] ?? status, part].filter(Boolean).join(", ");
  const short = [status === "final" ? "" : status, completeness === null ? "" : percent(completeness)];
  const text = isShort ? short.filter(Boolean).join(", ") || "unknown" : long;
  return html`<span class="quality ${mark}" title=${isShort ? long : undefined}><i></i>${text}</span>`;
}

/** A state, and its light. @param {string} state @param {string} [reason] */
export const stateOf = (state, reason) =>
  html`<span class="state ${state}" title=${reason}><i aria-hidden="true"></i>${state}</span>`;
