/**
 * How wide an element is, while it changes; and the colours that the style has now, for what is painted.
 */
import { useLayoutEffect, useRef, useState } from "../../vendor/preact.js";

/** @returns {[{ current: any }, number]} */
export function useWidth() {
  const element = useRef(/** @type {any} */ (null));
  const [width, setWidth] = useState(0);
  useLayoutEffect(() => {
    const measure = () => element.current && setWidth(Math.floor(element.current.clientWidth));
    const observer = new ResizeObserver(measure);
    observer.observe(element.current);
    measure();
    return () => observer.disconnect();
  }, []);
  return [element, width];
}

/** A variable of the style. @param {string} name */
export const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/** The colour of a series. @param {number} number */
export const series = (number) => `var(--c${number % 12})`;

const DARK = matchMedia("(prefers-color-scheme: dark)");

/** Calls when it becomes dark or light. @param {() => void} repaint */
export function onTheme(repaint) {
  DARK.addEventListener("change", repaint);
  return () => DARK.removeEventListener("change", repaint);
}
