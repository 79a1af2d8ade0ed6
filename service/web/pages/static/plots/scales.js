// Scales of axes: where a value lies, which ticks an axis has, which colour a value gets.

import { shown } from "../lib/format.js";
import { isDark } from "../lib/theme.js";

const [HUGE, TINY, SMALLEST_POWER] = [1e300, 1e-290, -323];
const SAME = 1e-12; // relative; the steps between ticks of a shorter axis would get lost in their sums
const MAX_STEPS = 2 ** 50; // a whole number above 2 ** 53 has no next one
const EDGE = 0.02; // of the axis, beside an infinite value

/**
 * @typedef {object} Scale
 * @property {(value: any) => number} at the position of a value, from 0 to 1 within the range
 * @property {(position: number) => number} back the value at a position
 * @property {{value: any, label: string}[]} ticks
 * @property {any[]} [choices] the values of a scale that has no others
 * @property {(low: number, high: number) => {value: any, label: string}[]} [ticksBetween] ticks for a part of the axis
 * @property {[number, number]} [part] the positions on the whole axis that a zoomed scale shows
 */

/**
 * A scale from the smallest to the largest of some values. A log scale leaves out what has no logarithm.
 * @param {Iterable<number>} values
 * @param {{log?: boolean, nTicks?: number, room?: number, label?: (value: number) => string}} [options]
 * @returns {Scale}
 */
export function scaleOf(values, { log = false, nTicks = 5, room = 0.04, label } = {}) {
  let [low, high] = [Infinity, -Infinity];
  for (const value of values) {
    if (!Number.isFinite(value) || (log && value <= 0)) continue;
    if (value < low) low = value;
    if (value > high) high = value;
  }
  if (low > high) [low, high] = log ? [0.1, 1] : [0, 1];
  const unit = log ? 1 : unitOf(low, high);
  const to = log ? Math.log10 : (/** @type {number} */ x) => x / unit;
  const from = log ? (/** @type {number} */ x) => 10 ** x : (/** @type {number} */ x) => x * unit;
  let [start, end] = [to(low), to(high)];
  if (end - start <= SAME * Math.max(Math.abs(start), Math.abs(end))) {
    [start, end] = [start - (log ? 0.5 : Math.abs(start) * 0.1 || 0.5), end + (log ? 0.5 : Math.abs(end) * 0.1 || 0.5)];
  }
  const margin = room * (end - start);
  [start, end] = [start - margin, end + margin];
  const ticksBetween = (/** @type {number} */ low, /** @type {number} */ high) => {
    const [first, last] = [start + low * (end - start), start + high * (end - start)];
    const found = log ? logTicks(first, last, nTicks) : linearTicks(first, last, nTicks).map((one) => Number((one * unit).toPrecision(12)));
    const values = [...new Set(found)].filter((one) => Number.isFinite(one) && (!log || one > 0));
    const digits = digitsOf(values);
    return values.map((value) => ({ value, label: label ? label(value) : shown(value, digits) }));
  };
  return {
    at: (value) => (to(value) - start) / (end - start),
    back: (position) => from(start + position * (end - start)),
    ticks: ticksBetween(0, 1),
    ticksBetween,
  };
}

/**
 * The significant digits that tell the labels of ticks apart.
 * @param {number[]} values
 */
function digitsOf(values) {
  const steps = values.slice(1).map((one, index) => one / 2 - values[index] / 2);
  const share = Math.max(...values.map(Math.abs)) / 2 / Math.min(...steps);
  return Number.isFinite(share) && share > 0 ? Math.min(12, Math.max(3, 1 + Math.ceil(Math.log10(share)))) : 3;
}

/**
 * A part of a scale as a scale of its own.
 * @param {Scale} scale
 * @param {number} low position on it
 * @param {number} high
 * @returns {Scale}
 */
export function zoomed(scale, low, high) {
  const ticks = scale.ticksBetween?.(low, high) ?? scale.ticks;
  return {
    ...scale,
    at: (value) => (scale.at(value) - low) / (high - low),
    back: (position) => scale.back(low + position * (high - low)),
    ticks: ticks.filter(({ value }) => scale.at(value) >= low && scale.at(value) <= high),
    part: [low, high],
  };
}

/**
 * What to divide the ends of an axis by, so that their difference is a number of usual size. Near the largest float it
 * would be infinite, and near the smallest one nothing.
 * @param {number} low
 * @param {number} high
 */
function unitOf(low, high) {
  const size = Math.max(Math.abs(low), Math.abs(high));
  return size > HUGE || (size > 0 && size < TINY) ? 10 ** Math.max(SMALLEST_POWER, Math.floor(Math.log10(size))) : 1;
}

/**
 * A scale that shows infinite values too, at the ends of its axis.
 * @param {Scale} scale
 * @param {number[]} values
 * @returns {Scale}
 */
export function withInfinity(scale, values) {
  const places = new Map(/** @type {[number, number][]} */ ([[Infinity, 1 - EDGE], [-Infinity, EDGE]]).filter(([value]) => values.includes(value)));
  if (!places.size) return scale;
  const at = (/** @type {number} */ value) => places.get(value) ?? scale.at(value);
  const isFree = (/** @type {number} */ position) => [...places.values()].every((place) => Math.abs(place - position) > 3 * EDGE);
  const ticksBetween = (/** @type {number} */ low, /** @type {number} */ high) => {
    const all = (values.some(Number.isFinite) && scale.ticksBetween?.(low, high)) || [];
    return [...all.filter(({ value }) => isFree(scale.at(value))), ...[...places.keys()].map((value) => ({ value, label: shown(value) }))];
  };
  return { ...scale, at, ticks: ticksBetween(0, 1), ticksBetween };
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
  if (!(Math.max(Math.abs(start), Math.abs(end)) / step < MAX_STEPS)) return [];
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
