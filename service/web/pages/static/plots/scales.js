// Scales of axes: where a value lies, which ticks an axis has, which colour a value gets.

import { shown } from "../lib/format.js";
import { isDark } from "../lib/theme.js";

/**
 * @typedef {object} Scale
 * @property {(value: any) => number} at the position of a value, from 0 to 1 within the range
 * @property {(position: number) => number} back the value at a position
 * @property {{value: any, label: string}[]} ticks
 * @property {any[]} [choices] the values of a scale that has no others
 */

/**
 * A scale from the smallest to the largest of some values. A log scale leaves out what has no logarithm.
 * @param {Iterable<number>} values
 * @param {{log?: boolean, nTicks?: number, room?: number}} [options]
 * @returns {Scale}
 */
export function scaleOf(values, { log = false, nTicks = 5, room = 0.04 } = {}) {
  let [low, high] = [Infinity, -Infinity];
  for (const value of values) {
    if (!Number.isFinite(value) || (log && value <= 0)) continue;
    if (value < low) low = value;
    if (value > high) high = value;
  }
  if (low > high) [low, high] = log ? [0.1, 1] : [0, 1];
  const [to, from] = log ? [Math.log10, (/** @type {number} */ x) => 10 ** x] : [identity, identity];
  let [start, end] = [to(low), to(high)];
  if (start === end) [start, end] = [start - (log ? 0.5 : Math.abs(start) * 0.1 || 0.5), end + (log ? 0.5 : Math.abs(end) * 0.1 || 0.5)];
  const margin = room * (end - start);
  [start, end] = [start - margin, end + margin];
  const ticks = (log ? logTicks(start, end, nTicks) : linearTicks(start, end, nTicks)).map((value) => ({
    value,
    label: shown(value, 3),
  }));
  return {
    at: (value) => (to(value) - start) / (end - start),
    back: (position) => from(start + position * (end - start)),
    ticks,
  };
}

/**
 * A scale of values that have no order, evenly spaced.
 * @param {any[]} choices
 * @returns {Scale}
 */
export function choiceScale(choices) {
  return {
    at: (value) => (choices.includes(value) ? (choices.indexOf(value) + 0.5) / choices.length : NaN),
    back: (position) => position,
    ticks: choices.map((value) => ({ value, label: shown(value) })),
    choices,
  };
}

/** @param {number} x */
function identity(x) {
  return x;
}

/**
 * @param {number} start
 * @param {number} end
 * @param {number} n
 */
function linearTicks(start, end, n) {
  const rough = (end - start) / n;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = ([1, 2, 5].find((one) => one * power >= rough) ?? 10) * power;
  const ticks = [];
  for (let k = Math.ceil(start / step); k * step <= end; k++) ticks.push(Number((k * step).toPrecision(12)));
  return ticks;
}

/**
 * @param {number} start logarithm of the low end
 * @param {number} end
 * @param {number} n
 */
function logTicks(start, end, n) {
  if (end - start < 1.2) {
    const all = linearTicks(10 ** start, 10 ** end, n).filter((value) => value > 0);
    if (all.length > 1) return all;
  }
  const every = Math.max(1, Math.ceil((end - start) / n));
  const ticks = [];
  for (let k = Math.ceil(start); k <= end; k++) if (k % every === 0) ticks.push(10 ** k);
  if (ticks.length > 2 || end - start > 3) return ticks;
  const between = [];
  for (let k = Math.floor(start); k <= end; k++) between.push(...[1, 2, 5].map((one) => one * 10 ** k));
  return between.filter((one) => Math.log10(one) >= start && Math.log10(one) <= end);
}

// Viridis, seven of its colours: even in lightness, and for the colour-blind.
const COLOURS = [[68, 1, 84], [68, 57, 131], [49, 104, 142], [33, 145, 140], [53, 183, 121], [144, 215, 67], [253, 231, 37]];
const ON_LIGHT = [0, 0.88]; // the last yellow is too light to be seen on white
const ON_DARK = [0.25, 1];

/**
 * The colour of a share from 0 (worst) to 1 (best).
 * @param {number} share
 * @returns {string}
 */
export function colourAt(share) {
  const [from, to] = isDark() ? ON_DARK : ON_LIGHT;
  const position = (from + Math.min(1, Math.max(0, share)) * (to - from)) * (COLOURS.length - 1);
  const index = Math.min(COLOURS.length - 2, Math.floor(position));
  const part = position - index;
  const mixed = COLOURS[index].map((one, channel) => Math.round(one + (COLOURS[index + 1][channel] - one) * part));
  return `rgb(${mixed.join(",")})`;
}

/**
 * Colours of values by rank, so that one outlier does not give all others the same colour.
 * @param {(number | null)[]} values
 * @param {"maximize" | "minimize"} direction
 * @returns {(value: number | null) => string | null} null for a value that there is not
 */
export function coloursByRank(values, direction) {
  const sorted = Float64Array.from(values.filter((one) => one !== null && Number.isFinite(one)).map(Number)).sort();
  return (value) => {
    if (value === null || !Number.isFinite(value) || !sorted.length) return null;
    let [low, high] = [0, sorted.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (sorted[middle] < value) low = middle + 1;
      else high = middle;
    }
    const share = sorted.length === 1 ? 1 : low / (sorted.length - 1);
    return colourAt(direction === "minimize" ? 1 - share : share);
  };
}
