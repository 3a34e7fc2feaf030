/**
 * How fast counters rise, from what they were each time that the node was looked at.
 */

/** @typedef {import("./poll.js").Sample} Sample */

/**
 * By how much a counter rose a second, between each two samples.
 * @param {Sample[] | undefined} samples @param {(values: Record<string, number>) => number} counter
 * @returns {{ at: number, rate: number }[]}
 */
export function rates(samples, counter) {
  return (samples ?? []).slice(1).map((sample, number) => {
    const before = /** @type {Sample[]} */ (samples)[number];
    const seconds = Math.max(0.001, (sample.at - before.at) / 1000);
    return { at: sample.at, rate: (counter(sample.values) - counter(before.values)) / seconds };
  });
}

/**
 * The mean rate of the last seconds; nothing before two samples are there.
 * @param {Sample[] | undefined} samples @param {string} fate @param {number} [seconds]
 */
export function rateNow(samples, fate, seconds = 10) {
  if (!samples || samples.length < 2) return null;
  const last = samples[samples.length - 1];
  const first = samples.find((sample) => last.at - sample.at <= seconds * 1000) ?? samples[0];
  const from = first === last ? samples[samples.length - 2] : first;
  return (last.values[fate] - from.values[fate]) / Math.max(0.001, (last.at - from.at) / 1000);
}
