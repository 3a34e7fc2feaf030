/**
 * A result by its shape, and its rows below.
 *
 * Takes windows and how they are to be shown, which stands in the page's address; says what was chosen otherwise.
 */
import { html, useState } from "../vendor/preact.js";
import { BESIDE, useBefore } from "./before.js";
import { Heat } from "./charts/heat.js";
import { Sankey } from "./charts/sankey.js";
import { TimeChart } from "./charts/time.js";
import { series as seriesColour } from "./charts/width.js";
import { cell, clock, duration, exact, short, unitOf } from "./format.js";
import { Quality } from "./quality.js";
import {
  FLOW_MAX, MATRIX_MAX, SHAPES, STACK_MAX, greatest, keyText, measureOf, rolesOf, shapesOf, stacked,
} from "./shape.js";
import { isLimited, orderedBy } from "./sql.js";
import { Table, csv, save } from "./table.js";
import { isComplete, isHollow } from "./windows.js";

/** @typedef {import("./api.js").Column} Column */
/** @typedef {import("./windows.js").Known} Known */
/**
 * @typedef {{ name: string, sql: string, schema: Column[], windows: Known[], loose: Record<string, any>[],
 *   params: Record<string, string>, amend: (changes: Record<string, string | undefined>) => void,
 *   onKey: (column: Column, value: any, isExcluded: boolean) => void, table?: string, json?: string }} Props The query's table,
 *   where it has one.
 * @typedef {Props & { roles: import("./shape.js").Roles, measure: Column | null, shape: import("./shape.js").Shape,
 *   chosen: Known | null, before: (window: Known | null) => Known | null, isHeld: boolean, format: (value: number) => string,
 *   scale: (window: { start: number, end: number }) => number }} View
 */

/** How a measure is written, and by what its values are multiplied: a rate where one is asked for. @param {Column | null} measure @param {boolean} isRate */
function scaleOf(measure, isRate) {
  const { unit, isSum } = measure ? unitOf(measure.name) : { unit: "", isSum: false };
  if (!isRate || !isSum) return { format: (/** @type {number} */ value) => short(value, unit), scale: () => 1, isSum };
  const factor = unit === "B" ? 8 : 1;
  return {
    format: (/** @type {number} */ value) => short(value, unit === "B" ? "bit/s" : "/s"),
    scale: (/** @type {{ start: number, end: number }} */ { start, end }) => (factor * 1000) / Math.max(1, end - start),
    isSum,
  };
}

/** What is said where nothing stands beside a result. */
const SAID = /** @type {Record<string, string>} */ ({
  asking: "asking …", nothing: "not known: neither kept nor in a history", failed: "not known: the node does not tell",
});

/** @param {Props} props */
export function Result(props) {
  const { sql, schema, windows, params, amend } = props;
  const roles = rolesOf(schema, sql);
  const measure = roles.values.find((column) => column.name === params.y) ?? measureOf(roles, sql);
  const shapes = shapesOf(roles, windows.length);
  const shape = shapes.find((name) => name === params.shape) ?? shapes[0];
  const { format, scale, isSum } = scaleOf(measure, params.per === "second");
  const [held, hold] = useState(/** @type {string | null} */ (null));
  const asked = windows.findIndex((window) => window.key === params.at);
  const place = asked !== -1 ? asked : windows.findIndex((window) => window.key === held);
  const newest = windows.findLastIndex((window) => !isHollow(window));
  const at = place !== -1 ? place : newest !== -1 ? newest : windows.length - 1;
  const { before, state } = useBefore(props.table ?? null, windows, roles.isWindowed && measure ? params.beside : undefined);
  const view = {
    ...props, roles, measure, shape, format, scale,
    chosen: windows[at] ?? null, before, isHeld: asked === -1 && place !== -1 && at < windows.length - 1,
  };
  // Nothing moves away below a pointer, or a key that has the focus.
  const stay = () => hold((key) => key ?? windows[at]?.key ?? null);
  const goOn = () => hold(null);
  return html`<section class="result" aria-label="Result">
    <div class="tools">
      ${shapes.length > 1 && html`<div class="switch" role="group" aria-label="Shape">${shapes.map((name) =>
        html`<button aria-pressed=${name === shape} onClick=${() => amend({ shape: name })}>${SHAPES[name]}</button>`)}</div>`}
      ${roles.values.length > 1 && html`<label>Measure <select value=${measure?.name}
        onChange=${(/** @type {any} */ event) => amend({ y: event.target.value })}>
        ${roles.values.map((column) => html`<option>${column.name}</option>`)}</select></label>`}
      ${isSum && roles.isWindowed && html`<label class="check"><input type="checkbox" checked=${params.per === "second"}
        onChange=${() => amend({ per: params.per === "second" ? undefined : "second" })} /> per second</label>`}
      ${measure && roles.isWindowed && windows.length > 0 && html`<label>Beside it <select value=${params.beside ?? ""}
        onChange=${(/** @type {any} */ event) => amend({ beside: event.target.value || undefined })}><option value="">nothing</option>
        ${Object.entries(BESIDE).map(([key, { title }]) => html`<option value=${key}>${title}</option>`)}</select></label>
        ${SAID[state] && html`<small role="status">${SAID[state]}</small>`}`}
      <span class="room"></span>
      <button class="link" onClick=${() => save(`${props.name}.csv`, csvOf(view), "text/csv")}>CSV</button>
      ${props.json && html`<a class="link" href=${props.json} download="${props.name}.json">JSON</a>`}
    </div>
    <div onMouseEnter=${stay} onMouseLeave=${goOn} onFocusIn=${stay} onFocusOut=${goOn}>
      ${measure && windows.length > 0 && drawn(view)}
      ${roles.isWindowed && windows.length > 0 && html`<${Strip} ...${view} />`}
      ${rowsOf(view)}
    </div>
  </section>`;
}

/** @param {View} view */
function drawn(view) {
  if (view.shape === "number") return html`<${Figure} ...${view} />`;
  if (view.shape === "line") return html`<${Figure} ...${view} /><${Lines} ...${view} />`;
  if (view.shape === "stack") return html`<${Stacks} ...${view} />`;
  if (view.shape === "flow") return html`<${Flow} ...${view} />`;
  return view.shape === "matrix" ? html`<${Matrix} ...${view} />` : null;
}

/** @param {View} view */
function Figure({ measure, chosen, before, format, scale, params }) {
  if (!measure || !chosen) return null;
  const [row] = chosen.rows;
  const value = row?.[measure.name];
  const old = before(chosen);
  const past = old?.rows[0]?.[measure.name];
  const state = isHollow(chosen) ? "hollow" : isComplete(chosen) ? "" : "hatched";
  return html`<p class="figure ${state}"><b>${value === null || value === undefined ? "NULL" : format(value * scale(chosen))}</b>
    <span>${measure.name}</span>${old && past !== undefined && past !== null && html`<span>${BESIDE[params.beside]?.title}: ${format(past * scale(old))}</span>`}</p>`;
}

/** @param {View} view */
function Lines({ name, windows, measure, chosen, params, amend, format, scale, before }) {
  const [hover, setHover] = useState(/** @type {string | null} */ (null));
  if (!measure) return null;
  const value = (/** @type {Known | null | undefined} */ window) => {
    const found = window?.rows[0]?.[measure.name];
    return window && typeof found === "number" ? found * scale(window) : null;
  };
  const columns = windows.map((window) => ({
    slot: window,
    parts: [
      { colour: "var(--c0)", value: value(window) },
      ...(params.beside ? [{ colour: "var(--muted)", value: value(before(window)) }] : []),
    ],
  }));
  const shown = windows.find((window) => window.key === hover);
  return html`<div class="drawn">
    <${TimeChart} columns=${columns} isStacked=${false} format=${format} chosen=${chosen?.key ?? null}
      label="${measure.name} of ${name} over ${windows.length} windows" onHover=${setHover}
      onChoose=${(/** @type {string} */ key) => amend({ at: key })} />
    <p class="hover" aria-hidden="true">${shown ? hoverOf(shown, value(shown), params.beside ? value(before(shown)) : null) : " "}</p>
  </div>`;
}

/** @param {Known} window @param {number | null} value @param {number | null} past */
const hoverOf = ({ start }, value, past) => `${clock(start)}  ${short(value ?? NaN)}${past === null ? "" : `, before ${short(past)}`}`;

/** All of a window in one. @param {Known} window @param {Column} measure */
const sumOf = ({ rows, folded }, measure) => [...rows, ...folded].reduce((sum, row) => sum + Math.max(0, row[measure.name] ?? 0), 0);

/** @param {View} view */
function Stacks({ name, sql, windows, roles, measure, chosen, amend, format, scale, onKey, before, params }) {
  const [hover, setHover] = useState(/** @type {string | null} */ (null));
  if (!measure) return null;
  const { series, others, at } = stacked(windows, roles.keys, measure.name, STACK_MAX);
  const pastOf = (/** @type {Known | null} */ old) => (old ? sumOf(old, measure) * scale(old) : null);
  const columns = at.map(({ window, values, other, folded }) => ({
    slot: window,
    parts: [
      ...series.map(({ name: key }, number) => ({ colour: seriesColour(number), value: values.has(key) ? (values.get(key) ?? 0) * scale(window) : null })),
      { colour: "var(--other)", value: other * scale(window) },
      { colour: "var(--folded)", value: folded * scale(window) },
    ],
    past: pastOf(before(window)),
  }));
  const number = windows.findIndex((window) => window.key === (hover ?? chosen?.key));
  const values = columns[number]?.parts ?? [];
  const past = columns[number]?.past ?? null;
  const figure = (/** @type {number} */ place) => {
    const value = values[place]?.value ?? null;
    return value === null ? "–" : format(value);
  };
  const [only] = roles.keys;
  return html`<div class="drawn stacked">
    <${TimeChart} columns=${columns} isStacked=${true} format=${format} chosen=${chosen?.key ?? null}
      label="${measure.name} of ${name} by ${roles.keys.map((key) => key.name).join(", ")}, stacked, over ${windows.length} windows"
      onHover=${setHover} onChoose=${(/** @type {string} */ key) => amend({ at: key })} />
    <ol class="legend" aria-label="What is stacked">${series.map(({ name: key, row }, place) => html`<li>
      <i style=${{ background: seriesColour(place) }}></i>
      ${roles.keys.length === 1
        ? html`<button class="pick" title="Only ${key}; with Alt: all but ${key}"
            onClick=${(/** @type {any} */ event) => onKey(only, row[only.name], event.altKey)}>${key}</button>`
        : html`<span>${key}</span>`}
      <b>${figure(place)}</b></li>`)}
      ${others > 0 && html`<li><i class="other"></i><span>${exact(others)} other${others === 1 ? "" : "s"}</span>
        <b>${figure(series.length)}</b></li>`}
      ${at.some(({ folded }) => folded > 0) && html`<li><i class="folded"></i><span>beyond the cap</span>
        <b>${figure(series.length + 1)}</b></li>`}
      ${params.beside && html`<li><i class="past"></i><span>all of it, ${BESIDE[params.beside]?.title}</span>
        <b>${past === null ? "–" : format(past)}</b></li>`}
      ${isLimited(sql) && html`<li class="quiet">What LIMIT cuts off is not here.</li>`}
    </ol>
  </div>`;
}

/** @param {View} view */
function Flow({ roles, measure, chosen, format, scale, onKey, name }) {
  if (!measure || !chosen) return null;
  const factor = scale(chosen);
  const { kept, rest, other } = greatest(chosen.rows, measure.name, FLOW_MAX);
  const { nodes, links } = flows(kept, roles.keys, measure.name, factor, format, onKey);
  if (rest > 0) {
    roles.keys.forEach((_, layer) => nodes.push({ id: `${layer}\0other`, label: `${exact(rest)} others`, layer, colour: "var(--other)" }));
    for (let layer = 1; layer < roles.keys.length; layer += 1) {
      links.push({ source: `${layer - 1}\0other`, target: `${layer}\0other`, value: other * factor, colour: "var(--other)",
        title: `${exact(rest)} other rows: ${format(other * factor)}` });
    }
  }
  const columns = roles.keys.map((key) => key.name).join(" → ");
  return html`<div class="drawn"><p class="axis">${columns}</p>
    <${Sankey} nodes=${nodes} links=${links} format=${format} label="${measure.name} of ${name}: ${columns}" /></div>`;
}

/**
 * @param {Record<string, any>[]} rows @param {Column[]} keys @param {string} measure @param {number} factor
 * @param {(value: number) => string} format @param {Props["onKey"]} onKey
 */
function flows(rows, keys, measure, factor, format, onKey) {
  /** @type {Map<string, import("./charts/sankey.js").Node>} */
  const nodes = new Map();
  /** @type {Map<string, import("./charts/sankey.js").Link>} */
  const links = new Map();
  const colours = new Map();
  for (const row of rows) {
    const ids = keys.map((key, layer) => `${layer}\0=${row[key.name]}`);
    keys.forEach((key, layer) => {
      if (nodes.has(ids[layer])) return;
      const label = cell(row[key.name], key);
      if (layer === 0) colours.set(ids[0], seriesColour(colours.size));
      nodes.set(ids[layer], {
        id: ids[layer], label, layer, title: `${key.name} ${label}`, colour: layer === 0 ? colours.get(ids[0]) : "var(--muted)",
        hint: "only this; with Alt: all but this", act: (event) => onKey(key, row[key.name], event.altKey),
      });
    });
    for (let layer = 1; layer < keys.length; layer += 1) {
      const id = `${ids[layer - 1]}\0${ids[layer]}`;
      const link = links.get(id) ?? { source: ids[layer - 1], target: ids[layer], value: 0, title: "" };
      link.value += row[measure] * factor;
      link.title = `${cell(row[keys[layer - 1].name], keys[layer - 1])} → ${cell(row[keys[layer].name], keys[layer])}: ${format(link.value)}`;
      links.set(id, link);
    }
  }
  return { nodes: [...nodes.values()], links: [...links.values()] };
}

/** @param {View} view */
function Matrix({ roles, measure, chosen, format, scale, name }) {
  if (!measure || !chosen) return null;
  const [from, to] = roles.keys;
  const factor = scale(chosen);
  /** @type {Map<string, number>} */
  const cells = new Map();
  const sums = [new Map(), new Map()];
  for (const row of chosen.rows) {
    const value = (row[measure.name] ?? 0) * factor;
    const names = [cell(row[from.name], from), cell(row[to.name], to)];
    cells.set(names.join("\0"), (cells.get(names.join("\0")) ?? 0) + value);
    names.forEach((key, side) => sums[side].set(key, (sums[side].get(key) ?? 0) + value));
  }
  const [rows, columns] = sums.map((side) => [...side].sort(([, a], [, b]) => b - a).slice(0, MATRIX_MAX).map(([key]) => key));
  const hidden = sums.map((side, number) => side.size - [rows, columns][number].length);
  return html`<div class="drawn">
    <${Heat} rows=${rows} columns=${columns} format=${format} rowLabel=${from.name} columnLabel=${to.name}
      label="${measure.name} of ${name} by ${from.name} and ${to.name}"
      value=${(/** @type {string} */ row, /** @type {string} */ column) => cells.get(`${row}\0${column}`) ?? null} />
    ${hidden.some((count) => count > 0) && html`<p class="axis">The greatest ${MATRIX_MAX} of each;
      ${exact(hidden[0])} more of ${from.name} and ${exact(hidden[1])} more of ${to.name} are in the table.</p>`}
  </div>`;
}

/** Which window is shown, and how much of it was seen. @param {View} view */
function Strip({ windows, chosen, amend, params, isHeld }) {
  if (!chosen) return null;
  const place = windows.indexOf(chosen);
  const step = (/** @type {number} */ by) => amend({ at: windows[place + by]?.key });
  const isNewest = !params.at || place === windows.length - 1;
  return html`<div class="strip">
    <button aria-label="The window before" disabled=${place <= 0} onClick=${() => step(-1)}>‹</button>
    <button aria-label="The window after" disabled=${place >= windows.length - 1} onClick=${() => step(1)}>›</button>
    <span class="when">${clock(chosen.start)} – ${clock(chosen.end)} <small>(${duration((chosen.end - chosen.start) / 1000)})</small></span>
    <${Quality} window=${chosen} />
    <span>${exact(chosen.rows.length)} row${chosen.rows.length === 1 ? "" : "s"}${chosen.folded.length ? ", and what is beyond the cap" : ""}</span>
    ${isHeld && html`<span>held while you are here</span>`}
    ${!isNewest && html`<button class="link" onClick=${() => amend({ at: undefined })}>Newest</button>`}
  </div>`;
}

/** @param {View} view */
function rowsOf({ roles, measure, chosen, before, loose, params, name, sql, onKey, windows }) {
  if (!roles.isWindowed) {
    const lines = loose.map((row) => ({ row, before: null, isFolded: false }));
    return html`<${Table} columns=${roles.columns} keys=${roles.keys} measure=${null} lines=${lines} hasBefore=${false}
      isOrdered=${true} label="Rows of ${name}, newest first" onKey=${onKey} />`;
  }
  if (!chosen) return windows.length === 0 ? null : html`<p class="nothing">This window has no rows.</p>`;
  const old = params.beside ? before(chosen) : null;
  const hasBefore = measure !== null && old !== null;
  const past = new Map(hasBefore ? old.rows.map((row) => [keyText(row, roles.keys), row[measure.name]]) : []);
  const lines = [
    ...chosen.rows.map((row) => ({ row, before: past.get(keyText(row, roles.keys)) ?? null, isFolded: false })),
    ...chosen.folded.map((row) => ({ row, before: null, isFolded: true })),
  ];
  return html`<${Table} columns=${roles.columns} keys=${roles.keys} measure=${measure} lines=${lines} hasBefore=${hasBefore}
    isOrdered=${orderedBy(sql) !== null} label="Rows of ${name}" onKey=${onKey} />`;
}

/** Every row of every window that is here, with what is said of its window. @param {View} view */
function csvOf({ schema, windows, loose, roles }) {
  const names = schema.map((column) => column.name);
  if (!roles.isWindowed) return csv(names, loose);
  const rows = windows.flatMap((window) => {
    const [start, end] = window.key.split("/");
    const said = { window_start: start, window_end: end, completeness: window.completeness, status: window.status };
    const folded = window.folded.map((row) => ({ ...row, ...said, status: "folded" }));
    return [...window.rows.map((row) => ({ ...row, ...said })), ...folded];
  });
  return csv(names, rows);
}
