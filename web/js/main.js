/**
 * The page: what is above all screens, and which of them is shown.
 */
import { html, render, useEffect, useState } from "../vendor/preact.js";
import { clock, duration } from "./format.js";
import { startPolling, useNode } from "./poll.js";
import { link, useRoute } from "./router.js";
import { Now } from "./views/now.js";

const SCREENS = /** @type {const} */ ([["now", "Now"], ["ask", "Ask"], ["account", "Account"]]);

/** The other screens, which the first one does without. @type {Record<string, () => Promise<any>>} */
const OTHERS = {
  ask: () => import("./views/ask.js").then(({ Ask }) => Ask),
  account: () => import("./views/account.js").then(({ AccountPage }) => AccountPage),
  query: () => import("./views/query.js").then(({ QueryPage }) => QueryPage),
};
/** How long after the first screen they are loaded, so that they are there when they are asked for. */
const LATER_MS = 500;

function Page() {
  const { path, params } = useRoute();
  const node = useNode();
  const [screen, name] = path;
  useEffect(() => {
    document.title = `${name ?? SCREENS.find(([id]) => id === screen)?.[1] ?? "?"} · tapline`;
  }, [screen, name]);
  return html`
    <header class="top">
      <a class="brand" href=${link([])}><img src="/icon.svg" alt="" width="20" height="20" />tapline</a>
      <nav aria-label="Screens">${SCREENS.map(([id, title]) =>
        html`<a href=${link(id === "now" ? [] : [id])} aria-current=${id === screen ? "page" : undefined}>${title}</a>`)}</nav>
      ${aboutOf(node)}
    </header>
    ${!node.isThere && html`<p class="banner" role="alert">Connection lost at ${clock(node.lostAt)}, trying again.
      ${node.status ? " What is shown is as it was then." : ""}</p>`}
    <main>${shown(screen, name, params)}</main>`;
}

/** @param {import("./poll.js").Node} node */
function aboutOf({ status, isThere }) {
  if (!status) return html`<span class="about"></span>`;
  const up = duration((Date.parse(status.now) - Date.parse(status.started)) / 1000);
  return html`<span class="about"><span class="state ${isThere ? "running" : "failed"}"><i aria-hidden="true"></i>${isThere ? "live" : "lost"}</span>
    <span>${location.host}</span><span class="wide">up ${up}</span><span class="wide">${status.version}</span></span>`;
}

/** @param {string} screen @param {string | undefined} name @param {Record<string, string>} params */
function shown(screen, name, params) {
  if (screen === "now") return html`<${Now} />`;
  const isThere = screen in OTHERS && (screen !== "query" || name);
  if (isThere) return html`<${Other} key=${`${screen} ${name}`} screen=${screen} name=${name} params=${params} />`;
  return html`<p class="nothing">There is no such screen. <a href=${link([])}>The first one</a> has links to all.</p>`;
}

/** @param {{ screen: string, name: string | undefined, params: Record<string, string> }} props */
function Other({ screen, name, params }) {
  const [view, setView] = useState(/** @type {{ View: any } | null} */ (null));
  useEffect(() => {
    OTHERS[screen]().then((View) => setView({ View }));
  }, []);
  return view ? html`<${view.View} name=${name} params=${params} />` : html`<h1 class="unseen">${name ?? screen}</h1>`;
}

startPolling();
setTimeout(() => Object.values(OTHERS).forEach((load) => void load()), LATER_MS);
render(html`<${Page} />`, /** @type {HTMLElement} */ (document.getElementById("page")));
