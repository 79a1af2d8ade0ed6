// Best so far as lines of steps, of one study or of several.

import { Chart } from "./chart.js";
import { scaleOf, withInfinity } from "./scales.js";
import { duration, shown } from "../lib/format.js";

export const LINE_COLOURS = ["#1f78c8", "#d98a00", "#2a9d60", "#8e5bb5", "#c0392b", "#3aa6b9", "#8a6d3b", "#7a8794"];

/**
 * @typedef {object} StepLine
 * @property {string} name
 * @property {number[]} x where the best value changed
 * @property {number[]} y
 * @property {number} end where the line ends
 */

export class StepsPlot {
  /** @param {{label: string, height?: number}} options */
  constructor({ label, height = 360 }) {
    this.lines = /** @type {StepLine[]} */ ([]);
    this.labels = /** @type {{x: string, y: string, isTime?: boolean}} */ ({ x: "", y: "" });
    this.empty = "No trial is complete yet.";
    this.chart = new Chart(this, { label, height });
    this.element = this.chart.element;
    this.chart.nothing.textContent = this.empty;
  }

  /**
   * @param {StepLine[]} lines
   * @param {{x: string, y: string, isTime?: boolean}} labels
   */
  show(lines, labels) {
    this.lines = lines;
    this.labels = labels;
    this.chart.redraw();
  }

  axes() {
    const drawn = this.lines.filter((line) => line.x.length);
    if (!drawn.length) return null;
    const { x, y, isTime } = this.labels;
    const ends = drawn.flatMap((line) => [0, line.end, ...line.x]);
    const label = isTime ? (/** @type {number} */ value) => (value ? duration(value) : "0") : undefined;
    const scale = scaleOf(ends, { room: 0.01, nTicks: 6, label });
    const values = drawn.flatMap((line) => line.y);
    return { x: scale, y: withInfinity(scaleOf(values, { room: 0.06 }), values), xLabel: x, yLabel: y };
  }

  /**
   * @param {CanvasRenderingContext2D} context
   * @param {import("./chart.js").Area} area
   * @param {import("./chart.js").Axes} axes
   */
  paint(context, area, axes) {
    context.lineWidth = 2;
    this.lines.forEach((line, index) => {
      context.strokeStyle = context.fillStyle = LINE_COLOURS[index % LINE_COLOURS.length];
      const points = line.x.map((x, k) => [area.left + axes.x.at(x) * area.width, area.top + (1 - axes.y.at(line.y[k])) * area.height]);
      context.beginPath();
      points.forEach(([x, y], k) => {
        if (!k) return context.moveTo(x, y);
        context.lineTo(x, points[k - 1][1]);
        context.lineTo(x, y);
      });
      if (points.length) context.lineTo(area.left + axes.x.at(line.end) * area.width, points[points.length - 1][1]);
      context.stroke();
      for (const [x, y] of points.length > 60 ? [] : points) {
        context.beginPath();
        context.arc(x, y, 3, 0, 2 * Math.PI);
        context.fill();
      }
    });
  }

  /**
   * @param {number} x
   * @param {number} _y
   * @param {import("./chart.js").Area} area
   * @param {import("./chart.js").Axes} axes
   */
  hover(x, _y, area, axes) {
    const at = axes.x.back((x - area.left) / area.width);
    const lines = this.lines.flatMap((line) => {
      let index = -1;
      while (index + 1 < line.x.length && line.x[index + 1] <= at) index++;
      return index < 0 ? [] : [this.lines.length > 1 ? `${line.name}: ${shown(line.y[index])}` : shown(line.y[index])];
    });
    if (!lines.length) return null;
    return [`${this.labels.x} ${this.labels.isTime ? duration(at) : Math.floor(at)}`, ...lines];
  }
}
