/**
 * Numbers, times and units as people read them.
 *
 * A column's unit is in its name: `octets`, `bits_per_second`, `clock_behind_ms`.
 */

/** Between a number and its unit. */
const NARROW = "\u202f";
const PREFIXES = ["", "k", "M", "G", "T", "P", "E"];

/** @typedef {{ unit: string, isSum: boolean }} Unit What is counted; whether a rate can be made of it. */

/** @param {string} name @returns {Unit} */
export function unitOf(name) {
  const words = name.toLowerCase();
  if (/bits?_per_second|bps\b|(^|_)bps/.test(words)) return { unit: "bit/s", isSum: false };
  if (/per_second/.test(words)) return { unit: "/s", isSum: false };
  if (/octets|bytes/.test(words)) return { unit: "B", isSum: !/avg|max|min|mean|quantile/.test(words) };
  if (/(^|_)ms$/.test(words)) return { unit: "ms", isSum: false };
  if (/(^|_)ns$/.test(words)) return { unit: "ns", isSum: false };
  const isSum = /count|packets|flows|frames|records|rows|probes|messages|delivered|offered|lost|dropped/.test(words);
  return { unit: "", isSum };
}

/** @param {number} value */
function digits(value) {
  const size = Math.abs(value);
  if (size >= 100 || Number.isInteger(value)) return String(Math.round(value));
  return size >= 10 ? value.toFixed(1) : size >= 0.01 || size === 0 ? value.toFixed(2) : value.toPrecision(2);
}

/** Three digits, a prefix, a unit: `12.3 MB`. @param {number | null | undefined} value @param {string} [unit] */
export function short(value, unit = "") {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  let rest = value;
  let step = 0;
  while (Math.abs(rest) >= 999.5 && step < PREFIXES.length - 1) {
    rest /= 1000;
    step += 1;
  }
  const suffix = PREFIXES[step] + unit;
  return suffix === "" || suffix === "/s" ? digits(rest) + suffix : digits(rest) + NARROW + suffix;
}

const GROUPED = new Intl.NumberFormat("en-US", { maximumFractionDigits: 3 });

/** All its digits: `118,000`. @param {number} value */
export const exact = (value) => GROUPED.format(value);

/** Part of a whole, which is 100 % only where nothing is missing. @param {number} part */
export function percent(part) {
  if (part >= 1) return `100${NARROW}%`;
  if (part <= 0) return `0${NARROW}%`;
  const hundredths = part * 100;
  if (hundredths < 0.01) return `<${NARROW}0.01${NARROW}%`;
  const kept = hundredths > 99 ? Math.floor(hundredths * 100) / 100 : hundredths;
  return `${Number(kept.toPrecision(kept > 99 ? 4 : 2))}${NARROW}%`;
}

/** `41 min`, from seconds. @param {number} seconds */
export function duration(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 120) return `${whole}${NARROW}s`;
  if (whole < 7200) return `${Math.round(whole / 60)}${NARROW}min`;
  if (whole < 172_800) return `${Math.round(whole / 3600)}${NARROW}h`;
  return `${Math.round(whole / 86_400)}${NARROW}days`;
}

const CLOCK = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const DAY = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short" });

/** The clock of whoever looks; the day, too, where it is another one. @param {number} at @param {number} [now] */
export function clock(at, now = Date.now()) {
  const time = CLOCK.format(at);
  return Math.abs(now - at) > 43_200_000 ? `${DAY.format(at)}, ${time}` : time;
}

/** A value of a row, as text. @param {any} value @param {import("./api.js").Column} column */
export function cell(value, column) {
  if (value === null || value === undefined) return "NULL";
  if (typeof value === "number") {
    const { unit } = unitOf(column.name);
    return unit === "B" || unit === "bit/s" ? short(value, unit) : isKeyType(column.type) ? String(value) : exact(value);
  }
  if (typeof value === "object") return JSON.stringify(value);
  if (column.type.startsWith("Timestamp")) return String(value).replace("T", " ").replace(/Z$/, "");
  return String(value);
}

/** Types of what names something rather than counts it. @param {string} type */
export const isKeyType = (type) => /^(U?Int(8|16|32)|Utf8|LargeUtf8|Boolean|FixedSizeBinary|Dictionary)/.test(type);
