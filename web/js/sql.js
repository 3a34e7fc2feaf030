/**
 * The parts of a SELECT, by their places in its text, so that a click can change one and leave the rest as it was
 * written. It is no parser of SQL: what it does not understand it leaves alone, and the node says what is wrong.
 */

/** @typedef {{ kind: "word" | "string" | "other", text: string, start: number, end: number, depth: number }} Token */
/** @typedef {{ start: number, end: number }} Range */
/** @typedef {{ clauses: Record<string, Range>, isCompound: boolean, isDistinct: boolean, start: number }} Block */
/** @typedef {Range & { text: string, name: string }} Item An expression, and what its column is called. */

const TOKEN =
  /(--[^\n]*|\/\*[\s\S]*?\*\/)|('(?:[^']|'')*'?)|("(?:[^"]|"")*"?)|([A-Za-z_][\w$]*)|(\d[\w.]*)|([^\s])/g;
const CLAUSES = ["select", "from", "where", "group", "having", "order", "limit", "offset"];
const COMPOUND = ["union", "except", "intersect"];
const AGGREGATE = /\b(count|sum|min|max|avg|mean|stddev\w*|var\w*|approx_\w+|quantile|top_k|bit_\w+|bool_\w+)\s*\(/i;
const WINDOW = /^(tumble|hop|tumble_rows)\s*\(/i;

/** @param {string} sql @returns {Token[]} */
export function tokens(sql) {
  const found = [];
  let depth = 0;
  for (const match of sql.matchAll(TOKEN)) {
    const [text, comment, string, quoted, word] = match;
    if (comment) continue;
    if (text === ")") depth -= 1;
    const kind = word ? "word" : string || quoted ? "string" : "other";
    found.push({ kind, text, start: match.index, end: match.index + text.length, depth });
    if (text === "(") depth += 1;
  }
  return /** @type {Token[]} */ (found);
}

/** All SELECTs of a text, outermost first. @param {string} sql @returns {Block[]} */
export function blocks(sql) {
  const all = tokens(sql);
  const starts = all.filter((token) => token.kind === "word" && token.text.toLowerCase() === "select");
  const found = starts.map((start) => blockOf(all.slice(all.indexOf(start)), start.depth));
  const depths = new Map(starts.map((start) => [start.start, start.depth]));
  return found.sort((a, b) => (depths.get(a.start) ?? 0) - (depths.get(b.start) ?? 0));
}

/** @param {Token[]} rest from its SELECT on @param {number} depth @returns {Block} */
function blockOf(rest, depth) {
  /** @type {Record<string, Range>} */
  const clauses = {};
  let current = "";
  let isCompound = false;
  for (const token of rest) {
    const word = token.kind === "word" && token.depth === depth ? token.text.toLowerCase() : "";
    if (token.depth < depth || (token.depth === depth && token.text === ";")) break;
    if (COMPOUND.includes(word)) {
      isCompound = true;
      break;
    }
    if (CLAUSES.includes(word) && !(word in clauses)) {
      current = word;
      clauses[word] = { start: token.end, end: token.end };
      continue;
    }
    const range = clauses[current];
    const isHead = range.end === range.start || clauses[current].start === range.end;
    if (isHead && (word === "by" || word === "distinct" || word === "all")) {
      clauses[current] = { start: token.end, end: token.end };
      continue;
    }
    if (range.end === range.start) range.start = token.start;
    range.end = token.end;
  }
  const isDistinct = rest[1]?.text.toLowerCase() === "distinct";
  return { clauses, isCompound, isDistinct, start: rest[0].start };
}

/** Pieces of a range between what a test finds at its own depth. @param {string} sql @param {Range} range
 *  @param {(token: Token, before: Token[]) => boolean} isBetween @returns {Range[]} */
function pieces(sql, range, isBetween) {
  const inside = tokens(sql).filter((token) => token.start >= range.start && token.end <= range.end);
  const depth = Math.min(...inside.map((token) => token.depth));
  /** @type {Range[]} */
  const found = [];
  /** @type {Token[]} */
  let piece = [];
  const close = () => {
    if (piece.length) found.push({ start: piece[0].start, end: piece[piece.length - 1].end });
    piece = [];
  };
  for (const token of inside) {
    if (token.depth === depth && isBetween(token, piece)) close();
    else piece.push(token);
  }
  close();
  return found;
}

/** The expressions of a list, with the names of their columns. @param {string} sql @param {Range | undefined} range @returns {Item[]} */
export function items(sql, range) {
  if (!range || range.end <= range.start) return [];
  return pieces(sql, range, (token) => token.text === ",").map((piece) => {
    const text = sql.slice(piece.start, piece.end);
    const named = /^([\s\S]*?)\s+as\s+("(?:[^"]|"")+"|[A-Za-z_]\w*)$/i.exec(text);
    const expression = named ? named[1] : text;
    const plain = /^(?:\w+\.)?([A-Za-z_]\w*)$/.exec(expression);
    const name = named ? named[2].replace(/^"|"$/g, "") : plain ? plain[1] : normal(expression);
    return { start: piece.start, end: piece.start + expression.length, text: expression, name };
  });
}

/** Without what makes no difference. @param {string} text */
const normal = (text) => tokens(text).map((token) => token.text).join(" ").replace(/ ?([(),.]) ?/g, "$1").toLowerCase();

/** Names of the result's columns that are keys, as far as the outermost SELECT says. @param {string} sql */
export function keyNames(sql) {
  const [outer] = blocks(sql);
  /** @type {{ keys: Set<string>, values: Set<string> }} */
  const said = { keys: new Set(), values: new Set() };
  if (!outer || outer.isCompound) return said;
  const grouped = new Set(items(sql, outer.clauses.group).map((item) => normal(item.text)));
  items(sql, outer.clauses.select).forEach((item, number) => {
    const isKey = [normal(item.text), item.name.toLowerCase(), String(number + 1)].some((name) => grouped.has(name));
    if (isKey || outer.isDistinct) said.keys.add(item.name);
    else if (AGGREGATE.test(item.text)) said.values.add(item.name);
  });
  return said;
}

/** The column that the result is ordered by. @param {string} sql */
export function orderedBy(sql) {
  const [outer] = blocks(sql);
  const [first] = outer ? items(sql, outer.clauses.order) : [];
  return first?.text.replace(/\s+(asc|desc|nulls\s+\w+)\b/gi, "").trim() ?? null;
}

/** Whether the result is cut off, so that there is more than it has. @param {string} sql */
export const isLimited = (sql) => blocks(sql)[0]?.clauses.limit !== undefined;

/** @param {any} value */
export function literal(value) {
  if (typeof value === "number" || typeof value === "boolean") return String(value);
  return `'${String(value).replaceAll("'", "''")}'`;
}

/**
 * The text with only, or without, the rows of a key; nothing where the text does not say what the key is.
 * @param {string} sql @param {string} column @param {any} value @param {boolean} isExcluded
 */
export function filtered(sql, column, value, isExcluded) {
  const [outer] = blocks(sql);
  if (!outer || outer.isCompound || !outer.clauses.from) return null;
  const item = items(sql, outer.clauses.select).find((found) => found.name === column);
  const expression = item?.text ?? (outer && /\*/.test(textOf(sql, outer.clauses.select)) ? column : null);
  if (!expression || AGGREGATE.test(expression)) return null;
  if (value === null) return withCondition(sql, outer, `${expression} IS ${isExcluded ? "NOT " : ""}NULL`);
  // A key that is absent is another one, which `<>` would leave out as well.
  return withCondition(sql, outer, `${expression} ${isExcluded ? "IS DISTINCT FROM" : "="} ${literal(value)}`);
}

/** @param {string} sql @param {Range | undefined} range */
export const textOf = (sql, range) => (range ? sql.slice(range.start, range.end) : "");

/** @param {string} sql @param {Block} block @param {string} condition */
export function withCondition(sql, block, condition) {
  const { where, from } = block.clauses;
  if (where && where.end > where.start) {
    const old = conditions(sql, block).length > 1 || !/\bor\b/i.test(textOf(sql, where)) ? textOf(sql, where)
      : `(${textOf(sql, where)})`;
    return `${sql.slice(0, where.start)}${old}\n    AND ${condition}${sql.slice(where.end)}`;
  }
  return `${sql.slice(0, from.end)}\nWHERE ${condition}${sql.slice(from.end)}`;
}

/** What stands between the ANDs of WHERE. @param {string} sql @param {Block} block */
export function conditions(sql, block) {
  const { where } = block.clauses;
  if (!where || where.end <= where.start) return [];
  const isAnd = (/** @type {Token} */ token, /** @type {Token[]} */ before) => {
    if (token.text.toLowerCase() !== "and") return false;
    const words = before.map((other) => other.text.toLowerCase());
    return words.lastIndexOf("between") === -1 || words.slice(words.lastIndexOf("between")).includes("and");
  };
  return pieces(sql, where, isAnd).map((piece) => ({ ...piece, text: textOf(sql, piece) }));
}

/**
 * What a person can change by a click: source, conditions, keys, window, of the SELECT that reads the stream.
 * @param {string} sql
 */
export function outline(sql) {
  const all = blocks(sql);
  const windowed = all.find((block) => items(sql, block.clauses.group).some((item) => WINDOW.test(item.text)));
  const block = windowed ?? all.at(-1);
  if (!block?.clauses.from || block.isCompound) return null;
  const grouped = items(sql, block.clauses.group);
  return {
    block,
    from: textOf(sql, block.clauses.from),
    conditions: conditions(sql, block),
    keys: grouped.filter((item) => !WINDOW.test(item.text)),
    window: grouped.find((item) => WINDOW.test(item.text)) ?? null,
  };
}

/** Without one of the conditions. @param {string} sql @param {Block} block @param {number} number */
export function withoutCondition(sql, block, number) {
  const all = conditions(sql, block);
  const left = all.filter((_, other) => other !== number).map((condition) => condition.text);
  const { where, from } = block.clauses;
  if (left.length === 0) return sql.slice(0, from.end) + sql.slice(where.end);
  return sql.slice(0, where.start) + left.join("\n    AND ") + sql.slice(where.end);
}

/** With one more key, in the list and in GROUP BY. @param {string} sql @param {Block} block @param {string} column */
export function withKey(sql, block, column) {
  const { select, group } = block.clauses;
  if (!group) return sql;
  const grouped = `${sql.slice(0, group.start)}${column}, ${sql.slice(group.start)}`;
  return `${grouped.slice(0, select.start)}${column}, ${grouped.slice(select.start)}`;
}

/** Without a key, in GROUP BY and in the list. @param {string} sql @param {Block} block @param {string} key */
export function withoutKey(sql, block, key) {
  const without = (/** @type {string} */ text, /** @type {Range} */ range) => {
    const parts = pieces(text, range, (token) => token.text === ",");
    const named = items(text, range);
    const left = parts.filter((_, number) => normal(named[number].text) !== normal(key)
      && named[number].name.toLowerCase() !== normal(key));
    const list = left.map((part) => text.slice(part.start, part.end)).join(", ");
    return text.slice(0, range.start) + list + text.slice(range.end);
  };
  // The end first, so that places before it hold.
  return without(without(sql, block.clauses.group), block.clauses.select);
}

/** With another length of its windows. @param {string} sql @param {Range} window @param {string} length */
export const withWindow = (sql, window, length) =>
  `${sql.slice(0, window.start)}tumble('${length}')${sql.slice(window.end)}`;

const SECONDS = { second: 1, minute: 60, hour: 3600, day: 86_400 };

/** How long the windows are, in seconds, where it is said as a number of one unit. @param {string} sql */
export const windowSeconds = (sql) => secondsOf(outline(sql)?.window?.text ?? "");

/** The same of a call such as `tumble('10 seconds')`. @param {string} text */
export function secondsOf(text) {
  const lengths = [...text.matchAll(/'\s*(\d+)\s*(second|minute|hour|day)s?\s*'/gi)];
  const last = lengths.at(-1);
  return last ? Number(last[1]) * SECONDS[/** @type {keyof SECONDS} */ (last[2].toLowerCase())] : null;
}
