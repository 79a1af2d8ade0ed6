// Scenes of what parameters do to an objective, and of objectives against each other.

import { shown } from "../lib/format.js";
import { choiceScale, colourAt, coloursByRank, scaleOf } from "./scales.js";

/** @typedef {import("../lib/types.js").Row} Row */
/** @typedef {import("../lib/types.js").Objective} Objective */
/** @typedef {import("./scatter.js").Point} Point */
/** @typedef {import("./scatter.js").Scene} Scene */
/** @typedef {{rows: Row[], space: Record<string, any>, objective: Objective, index: number}} Given the complete trials */

const GRID = 40;
const OTHER = "#98a2ae";

/**
 * The scale of a parameter over some trials.
 * @param {Record<string, any>} space
 * @param {string} name
 * @param {Row[]} rows
 */
export function scaleOfParameter(space, name, rows) {
  const given = space[name] ?? {};
  const values = rows.map((row) => row.params[name]);
  if (Array.isArray(given.choices)) return choiceScale(given.choices);
  if (values.some((one) => typeof one !== "number")) return choiceScale([...new Set(values)]);
  return scaleOf(values, { log: given.log === true });
}

/**
 * @param {Row} row
 * @param {Objective} objective
 * @param {number} index
 */
function linesOf(row, objective, index) {
  const params = Object.entries(row.params).slice(0, 12).map(([name, value]) => `${name} = ${shown(value, 3)}`);
  return [`trial ${row.number}`, `${objective.metric} ${shown(row.values[index])}`, ...params];
}

/**
 * The objective over one parameter. Later trials are darker.
 * @param {Given} given
 * @param {string} name
 * @returns {Scene}
 */
export function sliceOf({ rows, space, objective, index }, name) {
  const having = rows.filter((row) => row.params[name] !== undefined && Number.isFinite(row.values[index]));
  const newest = Math.max(1, ...having.map((row) => row.number));
  const points = having.map((row) => ({
    number: row.number, x: row.params[name], y: row.values[index], lines: linesOf(row, objective, index),
    colour: `hsl(212 ${35 + (45 * row.number) / newest}% ${72 - (34 * row.number) / newest}%)`,
  }));
  return { points, x: scaleOfParameter(space, name, having), y: scaleOf(points.map((one) => Number(one.y))), xLabel: name, yLabel: objective.metric };
}

/**
 * The objective over two parameters: points, on a surface where both are numbers.
 * @param {Given} given
 * @param {string} first
 * @param {string} second
 * @returns {Scene}
 */
export function contourOf({ rows, space, objective, index }, first, second) {
  const having = rows.filter((row) => row.params[first] !== undefined && row.params[second] !== undefined && Number.isFinite(row.values[index]));
  const colour = coloursByRank(having.map((row) => row.values[index]), objective.direction);
  const [x, y] = [first, second].map((name) => scaleOfParameter(space, name, having));
  const points = having.map((row) => ({ number: row.number, x: row.params[first], y: row.params[second], lines: linesOf(row, objective, index), colour: colour(row.values[index]) ?? OTHER }));
  const isSmooth = first !== second && having.length >= 4 && !x.choices && !y.choices;
  const surface = isSmooth ? surfaceOf(points.map((one) => [x.at(one.x), y.at(one.y)]), having.map((row) => Number(row.values[index])), objective) : null;
  return { points, x, y, xLabel: first, yLabel: second, surface };
}

/**
 * Colours of a surface through the trials: at each place of a grid the mean of them, weighted by how near they are
 * (Shepard's interpolation).
 * @param {number[][]} places of the trials, from 0 to 1
 * @param {number[]} values
 * @param {Objective} objective
 */
function surfaceOf(places, values, objective) {
  const size = Math.max(...values.map(Math.abs)) || 1; // the sum of values of usual size is finite
  const scaled = values.map((one) => one / size);
  const [low, high] = [Math.min(...scaled), Math.max(...scaled)];
  return Array.from({ length: GRID }, (_, j) => Array.from({ length: GRID }, (_, i) => {
    let [sum, weights] = [0, 0];
    places.forEach(([x, y], k) => {
      const weight = 1 / ((x - (i + 0.5) / GRID) ** 2 + (y - (j + 0.5) / GRID) ** 2 + 1e-3) ** 2;
      [sum, weights] = [sum + weight * scaled[k], weights + weight];
    });
    const share = high > low ? (sum / weights - low) / (high - low) : 1;
    return colourAt(objective.direction === "minimize" ? 1 - share : share);
  }));
}

/**
 * Two objectives against each other, and the trials that no other one beats in all of them.
 * @param {Row[]} rows
 * @param {Objective[]} objectives
 * @param {number} x index of the objective to the right
 * @param {number} y
 * @returns {Scene}
 */
export function paretoOf(rows, objectives, x, y) {
  const best = frontOf(rows.filter((row) => row.feasible && row.values.every((one) => one !== null && !Number.isNaN(one))), objectives);
  const shownRows = rows.filter((row) => Number.isFinite(row.values[x]) && Number.isFinite(row.values[y]));
  const points = shownRows.map((row) => ({
    number: row.number, x: row.values[x], y: row.values[y], isCross: !row.feasible,
    lines: [...linesOf(row, objectives[x], x).slice(0, 2), `${objectives[y].metric} ${shown(row.values[y])}`, ...linesOf(row, objectives[x], x).slice(2)],
    colour: row.feasible ? (best.has(row.number) ? "#1f78c8" : OTHER) : "#c0392b",
  }));
  points.sort((a, b) => Number(best.has(a.number)) - Number(best.has(b.number)));
  const joined = objectives.length === 2 ? points.filter((one) => best.has(one.number)).sort((a, b) => Number(a.x) - Number(b.x)) : [];
  const [across, up] = [points.map((one) => Number(one.x)), points.map((one) => Number(one.y))];
  return { points, joined, x: scaleOf(across), y: scaleOf(up), xLabel: objectives[x].metric, yLabel: objectives[y].metric };
}

/**
 * Numbers of the trials that no other one dominates.
 * @param {Row[]} rows
 * @param {Objective[]} objectives
 */
export function frontOf(rows, objectives) {
  const losses = rows.map((row) => ({ number: row.number, loss: objectives.map((one, k) => Number(row.values[k]) * (one.direction === "minimize" ? 1 : -1)) }));
  losses.sort((a, b) => a.loss.map((one, k) => one - b.loss[k]).find((one) => one !== 0) ?? 0);
  const front = /** @type {typeof losses} */ ([]);
  for (const one of losses) { // whatever dominates a trial comes before it
    const isBeaten = front.some((other) => other.loss.every((value, k) => value <= one.loss[k]) && other.loss.some((value, k) => value < one.loss[k]));
    if (!isBeaten) front.push(one);
  }
  return new Set(front.map((one) => one.number));
}
