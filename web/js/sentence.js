/**
 * What the box sees and misses, in words; and when nothing comes, why, and what to do about it.
 *
 * Takes the newest status and what the counters were before, gives text. It says no more than the counters do.
 */
import { clock, duration, exact, percent } from "./format.js";
import { lastLoss } from "./losses.js";
import { missing } from "./poll.js";
import { rateNow } from "./rates.js";

/** @typedef {import("./poll.js").Node} Node */
/** @typedef {import("./poll.js").Source} Source */
/** @typedef {import("./losses.js").LossWindow} LossWindow */

/** Seconds without a record after which a source is called silent. */
const SILENT_AFTER = 10;
/** Seconds since something was missing, within which nobody says for how long nothing was. */
const LOSING_WITHIN = 10;

/** @param {Node} node @param {Source} source */
export const rateOf = (node, source) => rateNow(node.history.get(`source ${source.name}`), "delivered");

/** Of what was offered, the part that is not here. @param {Source} source */
export const missingPart = (source) => (source.offered > 0 ? Math.max(0, missing(source)) / source.offered : 0);

/** @param {number} count @param {string} noun */
const several = (count, noun) => `${exact(count)} ${noun}${count === 1 ? "" : "s"}`;

/** @param {Source[]} sources */
function seen(sources) {
  const kinds = new Set(sources.map((source) => source.kind));
  if (kinds.size !== 1) return several(sources.length, "source");
  const [kind] = kinds;
  if (kind === "flow exports") return `${several(sources.length, "listener")} for flow exports`;
  return `${several(sources.length, "source")} of ${kind === "flow table" ? "flows" : kind.replace("mirror port", "packets")}`;
}

/**
 * @param {Node} node @param {LossWindow[] | null | undefined} losses of exporters, where a query knows
 * @param {number | null} worst the least completeness of the newest windows
 * @returns {{ text: string, tone: "good" | "bad" | "quiet", missed: string }}
 */
export function sentence(node, losses, worst) {
  const { status } = node;
  if (!status && !node.isThere) return { text: "The node does not answer.", tone: "bad", missed: "" };
  if (!status) return { text: "Asking the node how it stands …", tone: "quiet", missed: "" };
  const open = status.sources.filter((source) => source.state === "open");
  const now = Date.parse(status.now);
  if (open.length === 0) return { text: "Nothing is being read.", tone: "quiet", missed: absences(status.sources) };
  const known = open.map((source) => rateOf(node, source)).filter((rate) => rate !== null);
  const rate = known.reduce((sum, each) => sum + Math.max(0, each), 0);
  const speed = known.length === 0 ? "" : `, ${exact(Math.round(rate))} ${unitsOf(open)}/s`;
  if (open.every((source) => source.offered === 0)) {
    return { text: `${seen(open)}, and nothing has arrived yet.`, tone: "quiet", missed: absences(status.sources) };
  }
  const losers = open.filter((source) => missing(source) > 0);
  const missed = [...losers.map((source) => lossOf(node, source, losses, now)), absences(status.sources)].filter(Boolean);
  return {
    text: `${seen(open)}${speed}${completeOf(node, open, losses, worst, now)}.`,
    tone: missed.length === 0 && (worst ?? 1) >= 1 ? "good" : "bad",
    missed: missed.join(" "),
  };
}

/**
 * For how long nothing was missing.
 * @param {Node} node @param {Source[]} open @param {LossWindow[] | null | undefined} losses @param {number | null} worst @param {number} now
 */
function completeOf(node, open, losses, worst, now) {
  if (worst !== null && worst < 1) return `, the newest windows ${percent(worst)} complete`;
  const seconds = (now - Math.max(...open.map((source) => wholeSince(node, source, losses)))) / 1000;
  return seconds < LOSING_WITHIN ? "" : `, complete for ${duration(seconds)}`;
}

/** Since when nothing of a source is missing, as far as anybody saw. @param {Node} node @param {Source} source @param {LossWindow[] | null | undefined} losses */
function wholeSince(node, source, losses) {
  if (missing(source) <= 0) return Date.parse(source.since);
  // What was missing before this page looked is told by windows, or not at all.
  return node.missedAt.get(source.name) ?? lastLoss(losses ?? [], source.name)?.at ?? node.since;
}

/** @param {Source[]} sources */
function unitsOf(sources) {
  const units = new Set(sources.map((source) => source.unit));
  const [unit] = units;
  return units.size === 1 && unit ? unit : "records";
}

/**
 * What is missing of a source, and when that was; of which exporter, where a query knows.
 * @param {Node} node @param {Source} source @param {LossWindow[] | null | undefined} losses @param {number} now
 */
function lossOf(node, source, losses, now) {
  const last = node.missedAt.get(source.name);
  const loss = lastLoss(losses ?? [], source.name);
  const when = last === undefined
    ? `none of it in the last ${duration((now - node.since) / 1000)}`
    : now - last < 3000 ? "and is missing more now" : `last at ${clock(last, now)}`;
  const all = `${source.name} misses ${percent(missingPart(source))} of what was offered, ${when}`;
  return loss ? `${loss.who} lost ${percent(loss.part)} at ${clock(loss.at, now)}; ${all}.` : `${all}.`;
}

/** @param {Source[]} sources */
function absences(sources) {
  const absent = sources.filter((source) => source.state === "absent");
  return absent.map((source) => `${source.name} is not there: ${source.reason}.`).join(" ");
}

/** Whether nothing new comes from a source. @param {Node} node @param {Source} source */
export function isSilent(node, source) {
  const samples = node.history.get(`source ${source.name}`) ?? [];
  const last = samples.at(-1);
  const before = last && samples.findLast((sample) => last.at - sample.at >= SILENT_AFTER * 1000);
  if (source.messages === 0) return true;
  return Boolean(last && before && last.values.messages === before.values.messages);
}

/**
 * Why nothing comes from a source, and what to do.
 * @param {Source} source @returns {{ why: string, mend: string }}
 */
export function whyNothing(source) {
  const port = /:(\d+)$/.exec(source.name)?.[1];
  if (source.state === "absent") {
    return { why: source.reason ?? "It is not there.", mend: "It is tried again by itself; `tapline doctor` says what this box can do." };
  }
  if (source.state === "unused") {
    return { why: "No query needs it, so it is not opened.", mend: "Ask one of the questions below." };
  }
  if (source.kind === "flow exports" && source.messages === 0) {
    const look = port ? ` See whether they reach this box: tcpdump -ni any port ${port}` : "";
    return {
      why: `No datagram has come to ${source.name} so far.`,
      mend: `Point the routers' NetFlow, IPFIX or sFlow here, and let it through the firewall.${look}`,
    };
  }
  if (source.kind === "flow exports" && source.delivered === 0) {
    return {
      why: `${several(source.messages, "datagram")} came, and no record could be read yet: their templates are awaited.`,
      mend: "Routers send templates every few minutes; a shorter template timeout on the router brings them sooner.",
    };
  }
  if (source.messages === 0) {
    return { why: "No frame has been seen so far.", mend: "Is the link up, and is this the mirrored port? `tapline doctor` tells." };
  }
  return { why: "Nothing new has come lately.", mend: "If this is not as usual, look at what sends." };
}
