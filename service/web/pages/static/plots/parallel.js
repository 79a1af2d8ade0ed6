// Parallel coordinates on a canvas: an axis for each parameter and objective, a line for each trial, and brushes.

import { h } from "../lib/dom.js";
import { quoted } from "../lib/data.js";
import { drawnBrush, filterOf, RangeFields } from "./brushes.js";
import { resolved } from "./chart.js";
import { scaleOfParameter } from "./parameter_plots.js";
import { coloursByRank, scaleOf } from "./scales.js";

/** @typedef {import("../lib/types.js").Row} Row */
/** @typedef {import("../lib/types.js").Objective} Objective */
/** @typedef {import("./scales.js").Scale} Scale */
/** @typedef {import("./brushes.js").Brush} Brush */

/**
 * @typedef {object} Axis
 * @property {string} label
 * @property {string} column name in a filter
 * @property {(row: Row) => any} value
 * @property {any[] | null} choices of a categorical parameter
 * @property {(value: any) => number} at from 0 (bottom) to 1 (top); NaN for no value
 * @property {(position: number) => number} back
 * @property {{value: any, label: string}[]} ticks
 */

const [TOP, BOTTOM, SIDE, HEIGHT] = [34, 12, 60, 320];
const MIN_GAP = 92;
const MIN_BRUSH = 4;
const DENSE = 250; // so many lines are seen one by one; more of them are paler
const N_TOP = 30; // the best ones are never pale

export class ParallelPlot {
  /** @param {{open: (number: number) => void, onBrush: (where: string) => void}} given */
  constructor({ open, onBrush }) {
    this.open = open;
    this.onBrush = onBrush;
    this.axes = /** @type {Axis[]} */ ([]);
    this.rows = /** @type {Row[]} */ ([]);
    this.matching = /** @type {Set<number> | null} */ (null);
    this.brushes = /** @type {Map<string, Brush>} by column */ (new Map());
    this.direction = /** @type {"maximize" | "minimize"} */ ("maximize");
    this.canvas = h("canvas", { role: "img", "aria-label": "Parallel coordinates of parameters and objectives; the ranges and the filter below do the same as its brushes" });
    this.inner = h("div", { class: "parallel", style: { height: `${HEIGHT}px` } }, this.canvas);
    this.ranges = new RangeFields((axis, brush) => {
      this.setBrush(axis, brush);
      this.onBrush(this.where());
    });
    this.element = h("div", null, h("div", { class: "sideways" }, this.inner), this.ranges.element);
    this.frame = 0;
    new ResizeObserver(() => this.redraw()).observe(this.element);
    window.addEventListener("themechange", () => this.redraw());
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.redraw());
    this.canvas.addEventListener("pointerdown", (event) => this.startBrush(event));
  }

  /**
   * @param {Row[]} rows
   * @param {string[]} names of the parameters
   * @param {Record<string, any>} space
   * @param {Objective[]} objectives
   * @param {Set<number> | null} matching
   */
  show(rows, names, space, objectives, matching) {
    this.rows = rows.filter((row) => row.state === "COMPLETE" || row.state === "PRUNED");
    this.matching = matching;
    this.direction = objectives[0].direction;
    this.axes = [
      ...names.map((name) => this.axisOf(name, `params.${quoted(name)}`, (row) => row.params[name], scaleOfParameter(space, name, this.rows.filter((row) => name in row.params)))),
      ...objectives.map((one, index) => this.axisOf(one.metric, `values.${quoted(one.metric)}`, (row) => row.values[index], scaleOf(this.rows.map((row) => row.values[index] ?? NaN)))),
    ];
    this.inner.style.minWidth = `${2 * SIDE + MIN_GAP * (this.axes.length - 1)}px`;
    this.ranges.show(this.axes, this.brushes);
    this.redraw();
  }

  /** Drop all brushes without telling anybody. */
  clear() {
    this.brushes.clear();
    this.ranges.show(this.axes, this.brushes);
    this.redraw();
  }

  /**
   * @param {string} label
   * @param {string} column its name in a filter
   * @param {(row: Row) => any} value
   * @param {Scale} scale
   * @returns {Axis}
   */
  axisOf(label, column, value, scale) {
    return { label, column, value, choices: scale.choices ?? null, at: (one) => (one === null || one === undefined ? NaN : scale.at(one)), back: scale.back, ticks: scale.ticks };
  }

  redraw() {
    this.frame ||= requestAnimationFrame(() => {
      this.frame = 0;
      this.draw();
    });
  }

  /** @param {number} index */
  xOf(index) {
    const width = this.inner.clientWidth - 2 * SIDE;
    return SIDE + (this.axes.length > 1 ? (index / (this.axes.length - 1)) * width : width / 2);
  }

  /** @param {number} share */
  yOf(share) {
    return TOP + (1 - share) * (HEIGHT - TOP - BOTTOM);
  }

  draw() {
    const ratio = devicePixelRatio || 1;
    const width = this.inner.clientWidth;
    if (!width) return;
    this.canvas.width = Math.round(width * ratio);
    this.canvas.height = Math.round(HEIGHT * ratio);
    const context = this.canvas.getContext("2d");
    if (!context) return;
    context.scale(ratio, ratio);
    const colour = coloursByRank(this.rows.map((row) => row.values[0] ?? null), this.direction);
    const isOut = (/** @type {Row} */ row) => this.matching !== null && !this.matching.has(row.number);
    const better = (/** @type {Row} */ row) => (row.values[0] ?? null) === null ? -Number.MAX_VALUE : Number(row.values[0]) * (this.direction === "minimize" ? -1 : 1);
    const order = [...this.rows].sort((a, b) => Number(isOut(b)) - Number(isOut(a)) || better(a) - better(b) || 0);
    const usual = Math.max(0.05, Math.min(0.8, DENSE / this.rows.length));
    order.forEach((row, index) => {
      const isTop = order.length - index <= N_TOP;
      context.globalAlpha = isOut(row) ? 0.06 : row.state !== "COMPLETE" ? Math.min(0.12, usual) : isTop ? 0.85 : usual;
      context.strokeStyle = isOut(row) ? "#98a2ae" : colour(row.values[0] ?? null) ?? "#98a2ae";
      this.line(context, row);
    });
    context.globalAlpha = 1;
    this.drawAxes(context);
  }

  /**
   * @param {CanvasRenderingContext2D} context
   * @param {Row} row
   */
  line(context, row) {
    context.beginPath();
    let isOpen = false;
    this.axes.forEach((axis, index) => {
      const y = this.yOf(axis.at(axis.value(row)));
      if (!Number.isFinite(y)) return void (isOpen = false); // a conditional parameter that the trial does not have
      if (isOpen) context.lineTo(this.xOf(index), y);
      else context.moveTo(this.xOf(index), y);
      isOpen = true;
    });
    context.stroke();
  }

  /** @param {CanvasRenderingContext2D} context */
  drawAxes(context) {
    const style = getComputedStyle(this.element);
    const [ink, paper] = ["--chart-ink", "--card"].map((name) => resolved(style.getPropertyValue(name), style));
    context.font = "12px system-ui, sans-serif";
    this.axes.forEach((axis, index) => {
      const x = Math.round(this.xOf(index)) + 0.5;
      context.strokeStyle = ink;
      context.lineWidth = 1;
      context.beginPath();
      context.moveTo(x, TOP);
      context.lineTo(x, HEIGHT - BOTTOM);
      context.stroke();
      const brush = this.brushes.get(axis.column);
      if (brush) {
        context.fillStyle = "rgba(106, 165, 238, 0.45)";
        context.fillRect(x - 7, this.yOf(brush.to), 14, Math.max(2, this.yOf(brush.from) - this.yOf(brush.to)));
      }
      context.textAlign = "left";
      context.textBaseline = "middle";
      context.lineWidth = 3;
      context.strokeStyle = paper;
      context.fillStyle = ink;
      for (const { value, label } of axis.ticks) {
        const y = this.yOf(axis.at(value));
        const text = shortened(context, label, 76);
        context.strokeText(text, x + 5, y);
        context.fillText(text, x + 5, y);
      }
      context.textAlign = "center";
      const title = shortened(context, axis.label, index % (this.axes.length - 1) ? MIN_GAP + 60 : 2 * SIDE - 4);
      context.fillText(title, x, this.axes.length > 6 && index % 2 ? 22 : 9);
    });
  }

  /** @param {PointerEvent} event */
  startBrush(event) {
    const box = this.canvas.getBoundingClientRect();
    const index = this.axes.findIndex((_, k) => Math.abs(event.clientX - box.left - this.xOf(k)) < 14);
    if (index < 0) return;
    event.preventDefault();
    const axis = this.axes[index];
    const from = event.clientY - box.top;
    const shareAt = (/** @type {number} */ y) => Math.min(1, Math.max(0, 1 - (y - TOP) / (HEIGHT - TOP - BOTTOM)));
    this.canvas.setPointerCapture(event.pointerId);
    const move = (/** @type {PointerEvent} */ moved) => {
      const to = moved.clientY - box.top;
      const shares = [shareAt(from), shareAt(to)];
      this.setBrush(axis, Math.abs(to - from) < MIN_BRUSH ? null : drawnBrush(axis, Math.min(...shares), Math.max(...shares)));
    };
    const end = (/** @type {PointerEvent} */ ended) => {
      move(ended);
      this.canvas.removeEventListener("pointermove", move);
      this.canvas.removeEventListener("pointerup", end);
      this.ranges.show(this.axes, this.brushes);
      this.onBrush(this.where());
    };
    this.canvas.addEventListener("pointermove", move);
    this.canvas.addEventListener("pointerup", end);
  }

  /**
   * @param {Axis} axis
   * @param {Brush | null} brush
   */
  setBrush(axis, brush) {
    if (brush) this.brushes.set(axis.column, brush);
    else this.brushes.delete(axis.column);
    this.redraw();
  }

  /** The brushes as a filter of trials. */
  where() {
    const parts = this.axes.flatMap((axis) => {
      const brush = this.brushes.get(axis.column);
      return brush ? [filterOf(axis, brush)] : [];
    });
    return parts.join(" and ");
  }
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {string} text
 * @param {number} width in pixels
 */
function shortened(context, text, width) {
  if (context.measureText(text).width <= width) return text;
  let length = text.length;
  while (length > 1 && context.measureText(`${text.slice(0, length)}…`).width > width) length--;
  return `${text.slice(0, length)}…`;
}
