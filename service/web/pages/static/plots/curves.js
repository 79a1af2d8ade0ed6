// Learning curves of many trials on one canvas: five hundred of them are drawn within a frame.

import { Chart } from "./chart.js";
import { coloursByRank, scaleOf } from "./scales.js";
import { shown } from "../lib/format.js";

/** @typedef {import("../lib/types.js").Curve} Curve */

/**
 * @typedef {object} CurvesOptions
 * @property {string} metric
 * @property {string | null} beside another metric, dashed
 * @property {boolean} logX
 * @property {boolean} logY
 * @property {"maximize" | "minimize"} direction of the objective that gives the colours
 * @property {Set<number> | null} only numbers of the trials to show; null for all
 */

const NEAR_PIXELS = 30;

export class CurvesPlot {
  /**
   * @param {{params: (number: number) => Record<string, any>, open: (number: number) => void, height?: number}} given
   */
  constructor({ params, open, height = 360 }) {
    this.params = params;
    this.open = open;
    this.curves = /** @type {Curve[]} */ ([]);
    this.options = /** @type {CurvesOptions} */ ({ metric: "", beside: null, logX: false, logY: false, direction: "maximize", only: null });
    this.near = /** @type {Curve | null} */ (null);
    this.chart = new Chart(this, { label: "Learning curves of the trials", height });
    this.empty = "No trial has reported this metric for an epoch yet.";
    this.chart.nothing.textContent = this.empty;
    this.element = this.chart.element;
  }

  /**
   * @param {Curve[]} curves
   * @param {CurvesOptions} options
   */
  show(curves, options) {
    this.options = options;
    this.curves = curves.filter((one) => one.metrics[options.metric]?.length && (!options.only || options.only.has(one.number)));
    this.kept = null;
    this.chart.redraw();
  }

  axes() {
    if (this.kept) return this.kept;
    const { metric, beside, logX, logY } = this.options;
    if (!this.curves.length) return null;
    const offset = logX ? 1 : 0;
    const shownMetrics = beside ? [metric, beside] : [metric];
    const xs = this.curves.flatMap((one) => [one.steps[0] + offset, one.steps[one.steps.length - 1] + offset]);
    this.kept = {
      x: scaleOf(xs, { log: logX, room: 0.01, nTicks: 8 }),
      y: scaleOf(within(this.curves, shownMetrics), { log: logY }),
      xLabel: logX ? "epoch, from 1" : "epoch",
      yLabel: metric,
    };
    return this.kept;
  }

  /**
   * @param {CanvasRenderingContext2D} context
   * @param {import("./chart.js").Area} area
   * @param {import("./chart.js").Axes} axes
   */
  paint(context, area, axes) {
    const complete = this.curves.filter((one) => one.state === "COMPLETE");
    const colour = coloursByRank(complete.map((one) => one.value), this.options.direction);
    const worstFirst = [...this.curves].sort((a, b) => rank(a, this.options.direction) - rank(b, this.options.direction));
    context.lineWidth = this.curves.length > 100 ? 1 : 1.5;
    for (const one of worstFirst) {
      const hasValue = one.state === "COMPLETE";
      context.strokeStyle = (hasValue ? colour(one.value) : null) ?? (one.state === "RUNNING" ? "#2b7bba" : "#98a2ae");
      context.globalAlpha = hasValue || one.state === "RUNNING" ? 0.85 : 0.35;
      this.line(context, one, area, axes);
    }
    context.globalAlpha = 1;
  }

  /**
   * @param {CanvasRenderingContext2D} context
   * @param {Curve} one
   * @param {import("./chart.js").Area} area
   * @param {import("./chart.js").Axes} axes
   */
  line(context, one, area, axes) {
    const { metric, beside, logX } = this.options;
    for (const name of beside ? [beside, metric] : [metric]) {
      context.setLineDash(name === beside ? [4, 3] : []);
      context.beginPath();
      let [isOpen, nPoints, last] = [false, 0, /** @type {[number, number]} */ ([0, 0])];
      one.metrics[name]?.forEach((value, index) => {
        if (value === null || !Number.isFinite(value)) return void (isOpen = false);
        const x = area.left + axes.x.at(one.steps[index] + (logX ? 1 : 0)) * area.width;
        const y = area.top + (1 - axes.y.at(value)) * area.height;
        if (!Number.isFinite(y)) return void (isOpen = false);
        if (isOpen) context.lineTo(x, y);
        else context.moveTo(x, y);
        [isOpen, nPoints, last] = [true, nPoints + 1, [x, y]];
      });
      context.stroke();
      if (nPoints === 1) dot(context, last);
    }
    context.setLineDash([]);
  }

  /**
   * @param {number} x
   * @param {number} y
   * @param {import("./chart.js").Area} area
   * @param {import("./chart.js").Axes} axes
   */
  hover(x, y, area, axes) {
    const { metric, logX } = this.options;
    const step = axes.x.back((x - area.left) / area.width) - (logX ? 1 : 0);
    let [best, distance, at] = [/** @type {Curve | null} */ (null), NEAR_PIXELS, 0];
    for (const one of this.curves) {
      const index = nearest(one.steps, step);
      const value = one.metrics[metric][index];
      if (value === null || value === undefined) continue;
      const dx = area.left + axes.x.at(one.steps[index] + (logX ? 1 : 0)) * area.width - x;
      const dy = area.top + (1 - axes.y.at(value)) * area.height - y;
      const far = Math.hypot(Math.max(0, Math.abs(dx) - 12), dy);
      if (far < distance) [best, distance, at] = [one, far, index];
    }
    this.near = best;
    if (!best) return null;
    const values = [metric, this.options.beside].filter((name) => name && best.metrics[name]?.length);
    return [
      `trial ${best.number}, ${best.state.toLowerCase()}`,
      ...values.map((name) => `${name} ${shown(best.metrics[String(name)][at])} at epoch ${best.steps[at]}`),
      ...Object.entries(this.params(best.number)).slice(0, 12).map(([name, value]) => `${name} = ${shown(value, 3)}`),
    ];
  }

  /**
   * @param {CanvasRenderingContext2D} context
   * @param {import("./chart.js").Area} area
   * @param {import("./chart.js").Axes} axes
   */
  highlight(context, area, axes) {
    if (!this.near) return;
    context.lineWidth = 3.5;
    context.strokeStyle = "#e0457b";
    this.line(context, this.near, area, axes);
  }

  click() {
    if (this.near) this.open(this.near.number);
  }
}

/**
 * The values to scale by. Of a metric that explodes in a few trials, what lies far outside is left to be cut off.
 * @param {Curve[]} curves
 * @param {string[]} metrics
 */
function within(curves, metrics) {
  const all = curves.flatMap((one) => metrics.flatMap((name) => one.metrics[name] ?? []));
  const values = Float64Array.from(all.filter((one) => one !== null && Number.isFinite(one)).map(Number)).sort();
  const at = (/** @type {number} */ share) => values[Math.min(values.length - 1, Math.floor(share * values.length))];
  const [low, high] = [at(0.02), at(0.98)];
  const room = 2 * (high - low);
  return room > 0 ? values.filter((one) => one >= low - room && one <= high + room) : values;
}

/**
 * @param {Curve} one
 * @param {string} direction
 */
function rank(one, direction) {
  if (one.state === "RUNNING") return Infinity;
  if (one.value === null || one.state !== "COMPLETE") return -Infinity;
  return direction === "minimize" ? -one.value : one.value;
}

/**
 * The index of the step that is nearest to one.
 * @param {number[]} steps
 * @param {number} step
 */
function nearest(steps, step) {
  let [low, high] = [0, steps.length - 1];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (steps[middle] < step) low = middle + 1;
    else high = middle;
  }
  return low > 0 && step - steps[low - 1] < steps[low] - step ? low - 1 : low;
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {[number, number]} at
 */
function dot(context, [x, y]) {
  context.beginPath();
  context.arc(x, y, 2.5, 0, 2 * Math.PI);
  context.fillStyle = context.strokeStyle;
  context.fill();
}
