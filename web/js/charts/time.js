/**
 * Values over windows: a line, or stacks.
 *
 * A window is as wide as it is long; one that slides is drawn by what it brings. What is not whole looks so: hatched
 * where records are missing, hollow where it is early or partial, grey what was folded. A window that is not there is a
 * gap.
 */
import { html, useEffect, useRef } from "../../vendor/preact.js";
import UPlot from "../../vendor/uplot.js";
import { isComplete, isHollow } from "../windows.js";
import { colour, onTheme, useWidth } from "./width.js";

/**
 * @typedef {{ key: string, start: number, end: number, status: string, completeness: number | null }} Slot
 * @typedef {{ slot: Slot, parts: { colour: string, value: number | null }[], past?: number | null }} Column Parts from below to above;
 *   as high as what stands beside them was.
 */

const HEIGHT = 250;
/** Seconds between two times that are written. */
const TICKS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 21_600, 43_200, 86_400];

/** From when to when each is drawn: those that slide overlap, and each is drawn behind the one before. @param {Column[]} columns */
function spans(columns) {
  return columns.map(({ slot }, number) => {
    const before = columns[number - 1]?.slot.end ?? slot.start;
    return [Math.max(slot.start, Math.min(before, slot.end - 1)) / 1000, slot.end / 1000];
  });
}

/** From this completeness on, hatches are finer. */
const NEARLY = 0.99;

/** @param {CanvasRenderingContext2D} context @param {string} stroke @param {boolean} isFine */
function hatch(context, stroke, isFine) {
  const tile = document.createElement("canvas");
  tile.width = tile.height = (isFine ? 12 : 7) * devicePixelRatio;
  const pen = /** @type {CanvasRenderingContext2D} */ (tile.getContext("2d"));
  const size = tile.width;
  pen.strokeStyle = stroke;
  pen.lineWidth = (isFine ? 1 : 1.75) * devicePixelRatio;
  pen.beginPath();
  for (const shift of [-size, 0, size]) {
    pen.moveTo(shift, size);
    pen.lineTo(shift + size, 0);
  }
  pen.stroke();
  return /** @type {CanvasPattern} */ (context.createPattern(tile, "repeat"));
}

/** Those of a window, by how much of it is missing. @param {CanvasRenderingContext2D} context @param {string} stroke */
function hatches(context, stroke) {
  const [coarse, fine] = [hatch(context, stroke, false), hatch(context, stroke, true)];
  return (/** @type {Slot} */ { completeness }) => ((completeness ?? 1) >= NEARLY ? fine : coarse);
}

/** A colour as it is now, where it is a variable of the style. @param {string} value */
const resolved = (value) => (value.startsWith("var(") ? colour(value.slice(4, -1)) : value);

/** @param {any} plot @param {Column[]} columns @param {string | null} chosen */
function paintStacks(plot, columns, chosen) {
  const context = /** @type {CanvasRenderingContext2D} */ (plot.ctx);
  const lines = hatches(context, colour("--panel"));
  const ratio = devicePixelRatio;
  const all = spans(columns);
  const bottom = plot.valToPos(0, "y", true);
  columns.forEach(({ slot, parts }, number) => {
    const [left, right] = all[number].map((at) => plot.valToPos(at, "x", true));
    const gap = right - left > 4 * ratio ? ratio : 0;
    let base = 0;
    for (const part of parts) {
      if (!part.value) continue;
      const [y, above] = [base, base + part.value].map((value) => plot.valToPos(value, "y", true));
      base += part.value;
      context.fillStyle = context.strokeStyle = resolved(part.colour);
      const box = /** @type {const} */ ([left, above, Math.max(ratio, right - left - gap), y - above]);
      context.globalAlpha = isHollow(slot) ? 0.18 : 1;
      context.fillRect(...box);
      context.globalAlpha = 1;
      if (isHollow(slot) && box[3] > 2 * ratio) strokeInside(context, box, ratio);
    }
    const top = plot.valToPos(base, "y", true);
    if (!isComplete(slot)) {
      context.fillStyle = lines(slot);
      context.fillRect(left, top, right - left - gap, bottom - top);
    }
    if (slot.key === chosen) mark(context, plot, left, right);
  });
  paintPast(plot, columns, all, ratio);
}

/** A line as high as stacks were before, on a seam, so that it is seen on any colour. @param {any} plot @param {Column[]} columns @param {number[][]} all @param {number} ratio */
function paintPast(plot, columns, all, ratio) {
  const context = /** @type {CanvasRenderingContext2D} */ (plot.ctx);
  context.beginPath();
  columns.forEach(({ past }, number) => {
    if (past === null || past === undefined) return;
    const [left, right] = all[number].map((at) => plot.valToPos(at, "x", true));
    const y = plot.valToPos(past, "y", true);
    context.moveTo(left, y);
    context.lineTo(right, y);
  });
  for (const [stroke, width] of /** @type {const} */ ([["--panel", 4], ["--text", 2]])) {
    context.strokeStyle = colour(stroke);
    context.lineWidth = width * ratio;
    context.stroke();
  }
}

/** @param {CanvasRenderingContext2D} context @param {readonly [number, number, number, number]} box @param {number} ratio */
function strokeInside(context, [x, y, width, height], ratio) {
  context.lineWidth = ratio;
  context.strokeRect(x + ratio / 2, y + ratio / 2, Math.max(0, width - ratio), Math.max(0, height - ratio));
}

/** A bar above the axis, where the window is that the table shows. @param {CanvasRenderingContext2D} context @param {any} plot @param {number} left @param {number} right */
function mark(context, plot, left, right) {
  context.fillStyle = colour("--text");
  const height = 2 * devicePixelRatio;
  context.fillRect(left, plot.bbox.top + plot.bbox.height, Math.max(height, right - left - devicePixelRatio), height);
}

/** @param {any} plot @param {Column[]} columns @param {string | null} chosen */
function paintLines(plot, columns, chosen) {
  const context = /** @type {CanvasRenderingContext2D} */ (plot.ctx);
  const ratio = devicePixelRatio;
  const all = spans(columns);
  const lines = hatches(context, colour("--strong"));
  const bottom = plot.valToPos(0, "y", true);
  columns.forEach(({ slot, parts }, number) => {
    const [left, right] = all[number].map((at) => plot.valToPos(at, "x", true));
    const top = plot.valToPos(parts[0]?.value ?? 0, "y", true);
    const box = /** @type {const} */ ([left, top, right - left, bottom - top]);
    context.globalAlpha = 0.12;
    context.fillStyle = resolved(parts[0]?.colour ?? "var(--c0)");
    if (!isHollow(slot)) context.fillRect(...box);
    context.globalAlpha = 1;
    if (!isComplete(slot)) {
      context.fillStyle = lines(slot);
      context.fillRect(...box);
    }
    if (slot.key === chosen) mark(context, plot, left, right);
  });
  const width = Math.max(0, ...columns.map(({ parts }) => parts.length));
  for (let series = 0; series < width; series += 1) paintLine(plot, columns, all, series, ratio);
}

/** @param {any} plot @param {Column[]} columns @param {number[][]} all @param {number} series @param {number} ratio */
function paintLine(plot, columns, all, series, ratio) {
  const context = /** @type {CanvasRenderingContext2D} */ (plot.ctx);
  const points = columns.map(({ slot, parts }, number) => {
    const value = parts[series]?.value ?? null;
    const x = plot.valToPos((all[number][0] + all[number][1]) / 2, "x", true);
    return { slot, x, y: value === null ? null : plot.valToPos(value, "y", true), isAfterGap: isGap(all, number) };
  });
  context.strokeStyle = context.fillStyle = resolved(columns[0]?.parts[series]?.colour ?? "var(--c0)");
  context.lineWidth = 1.75 * ratio;
  context.lineJoin = "round";
  context.beginPath();
  let isDown = false;
  for (const { x, y, isAfterGap } of points) {
    if (y === null) isDown = false;
    else if (isDown && !isAfterGap) context.lineTo(x, y);
    else context.moveTo(x, y);
    isDown = y !== null;
  }
  context.stroke();
  const isCrowded = points.length > 80;
  for (const { slot, x, y } of points) {
    if (y === null || (isCrowded && !isHollow(slot))) continue;
    context.beginPath();
    context.arc(x, y, 2.75 * ratio, 0, 2 * Math.PI);
    if (isHollow(slot)) {
      context.save();
      context.fillStyle = colour("--panel");
      context.fill();
      context.stroke();
      context.restore();
    } else context.fill();
  }
}

/** Whether no window joins this one and the one before. @param {number[][]} all @param {number} number */
const isGap = (all, number) => number > 0 && all[number][0] - all[number - 1][1] > 0.001;

/** @param {Column[]} columns @param {boolean} isStacked */
const tops = (columns, isStacked) => columns.map(({ parts, past }) => {
  const values = parts.map((part) => part.value ?? 0);
  return Math.max(past ?? 0, isStacked ? values.reduce((sum, value) => sum + value, 0) : Math.max(0, ...values));
});

/** @param {{ current: any }} now @param {number} width */
function optionsOf(now, width) {
  const axis = { font: "11px system-ui, sans-serif", stroke: () => colour("--muted"), ticks: { show: false } };
  const paint = (/** @type {any} */ plot) => {
    const { columns, isStacked, chosen } = now.current;
    plot.ctx.save();
    plot.ctx.beginPath();
    plot.ctx.rect(plot.bbox.left, plot.bbox.top - 4, plot.bbox.width, plot.bbox.height + 8);
    plot.ctx.clip();
    (isStacked ? paintStacks : paintLines)(plot, columns, chosen);
    plot.ctx.restore();
  };
  return {
    width,
    height: HEIGHT,
    padding: [10, 26, 0, 0],
    legend: { show: false },
    cursor: { drag: { x: false, y: false }, points: { show: false }, y: false },
    scales: {
      x: { time: true, range: () => now.current.range },
      y: { range: (/** @type {any} */ _, /** @type {number} */ __, /** @type {number} */ max) => [0, max > 0 ? max * 1.06 : 1] },
    },
    axes: [
      { ...axis, grid: { show: false }, size: 28, space: 74, incrs: TICKS, values: clockTicks },
      { ...axis, size: 62, gap: 6, grid: { stroke: () => colour("--line"), width: 1 },
        values: (/** @type {any} */ _, /** @type {number[]} */ ticks) => ticks.map((tick) => now.current.format(tick)) },
    ],
    series: [{}, { paths: () => null, points: { show: false } }],
    hooks: { draw: [paint], setCursor: [(/** @type {any} */ plot) => now.current.hover(windowAt(plot, now.current.columns))] },
  };
}

/** @param {any} _ @param {number[]} ticks */
function clockTicks(_, ticks) {
  const step = ticks.length > 1 ? ticks[1] - ticks[0] : 60;
  const format = new Intl.DateTimeFormat("en-GB", {
    hour: "2-digit", minute: "2-digit", ...(step < 60 ? { second: "2-digit" } : {}),
  });
  return ticks.map((tick) => format.format(tick * 1000));
}

/** The window below the pointer. @param {any} plot @param {Column[]} columns */
function windowAt(plot, columns) {
  const { left } = plot.cursor;
  if (left === undefined || left < 0) return null;
  const at = plot.posToVal(left, "x");
  const all = spans(columns);
  const number = all.findIndex(([from, to]) => at >= from && at < to);
  return number === -1 ? null : columns[number].slot.key;
}

/**
 * @param {{ columns: Column[], isStacked: boolean, format: (value: number) => string, chosen: string | null,
 *   label: string, onHover: (key: string | null) => void, onChoose: (key: string) => void }} props
 */
export function TimeChart({ columns, isStacked, format, chosen, label, onHover, onChoose }) {
  const [element, width] = useWidth();
  const plot = useRef(/** @type {any} */ (null));
  const now = useRef(/** @type {any} */ ({}));
  const all = spans(columns);
  now.current = {
    columns, isStacked, format, chosen, hover: onHover,
    range: all.length ? [all[0][0], all[all.length - 1][1]] : [0, 1],
  };
  const data = [all.map(([from, to]) => (from + to) / 2), tops(columns, isStacked)];
  useEffect(() => {
    if (width === 0) return undefined;
    plot.current = new UPlot(optionsOf(now, width), data, element.current);
    const stop = onTheme(() => plot.current?.redraw());
    return () => {
      stop();
      plot.current?.destroy();
      plot.current = null;
    };
  }, [width]);
  useEffect(() => plot.current?.setData(data));
  const choose = () => {
    const key = plot.current && windowAt(plot.current, columns);
    if (key) onChoose(key);
  };
  return html`<div class="chart time" ref=${element} role="img" aria-label=${label} onClick=${choose}></div>`;
}
