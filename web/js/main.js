/**
 * The page: what is above all screens, and which of them is shown.
 */
import { html, render, useEffect } from "../vendor/preact.js";
import { clock, duration } from "./format.js";
import { startPolling, useNode } from "./poll.js";
import { link, useRoute } from "./router.js";
import { AccountPage } from "./views/account.js";
import { Ask } from "./views/ask.js";
import { Now } from "./views/now.js";
import { QueryPage } from "./views/query.js";

const SCREENS = /** @type {const} */ ([["now", "Now"], ["ask", "Ask"], ["account", "Account"]]);

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
      ${node.status ? " What is below is as it was then." : ""}</p>`}
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
  if (screen === "ask") return html`<${Ask} params=${params} />`;
  if (screen === "account") return html`<${AccountPage} params=${params} />`;
  if (screen === "query" && name) return html`<${QueryPage} key=${name} name=${name} params=${params} />`;
  return html`<p class="nothing">There is no such screen. <a href=${link([])}>The first one</a> has links to all.</p>`;
}

startPolling();
render(html`<${Page} />`, /** @type {HTMLElement} */ (document.getElementById("page")));
