/**
 * Where the page is, in its address: `#/query/top_talkers?shape=table`. Whoever is given the address sees the same.
 */
import { useEffect, useState } from "../vendor/preact.js";

/** @typedef {{ path: string[], params: Record<string, string> }} Route */

/** @returns {Route} */
export function route() {
  const [path, search] = location.hash.replace(/^#\/?/, "").split("?", 2);
  const parts = path.split("/").filter(Boolean).map((part) => {
    try {
      return decodeURIComponent(part);
    } catch {
      return part;
    }
  });
  return { path: parts.length ? parts : ["now"], params: Object.fromEntries(new URLSearchParams(search ?? "")) };
}

/** @param {string[]} path @param {Record<string, string | undefined>} [params] */
export function link(path, params = {}) {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(params)) if (value) search.set(name, value);
  const text = search.toString();
  return `#/${path.map(encodeURIComponent).join("/")}${text ? `?${text}` : ""}`;
}

/** @param {string[]} path @param {Record<string, string | undefined>} [params] */
export function go(path, params) {
  location.hash = link(path, params);
}

/** Says something else of the same page, which is no step back. @param {Record<string, string | undefined>} changes */
export function amend(changes) {
  const { path, params } = route();
  history.replaceState(null, "", link(path, { ...params, ...changes }));
  dispatchEvent(new Event("hashchange"));
}

export function useRoute() {
  const [seen, see] = useState(route);
  useEffect(() => {
    const look = () => see(route());
    addEventListener("hashchange", look);
    return () => removeEventListener("hashchange", look);
  }, []);
  return seen;
}
