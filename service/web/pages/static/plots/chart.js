// A canvas with axes, drawn again when its data, its size or the theme changes, with a tooltip that follows the pointer.

import { fill, h } from "../lib/dom.js";
import { isDark } from "../lib/theme.js";
import { Zoom } from "./zoom.js";

const MARGIN = { left: 30, right: 14, top: 10, bottom: 38 };
const MAX_LABEL = 90;
const DOUBLE_CLICK_MS = 300;
const KEYS_HELP = "zoom by + and -, move by the arrow keys, see all by 0";
const FONT = "12px system-ui, sans-serif";

/** @typedef {import("./scales.js").Scale} Scale */
/** @typedef {{left: number, top: number, width: number, height: number}} Area */
/** @typedef {{x: Scale, y: Scale, xLabel: string, yLabel: string}} Axes */

/**
 * @typedef {object} Painter
 * @property {() => Axes | null} axes null while there is nothing to show
 * @property {(context: CanvasRenderingContext2D, area: Area, axes: Axes) => void} paint draw the data
 * @property {(x: number, y: number, area: Area, axes: Axes) => string[] | null} [hover] lines for the tooltip, and what
 *   `highlight` will draw; x and y in pixels of the canvas
 * @property {(context: CanvasRenderingContext2D, area: Area, axes: Axes) => void} [highlight]
 * @property {() => void} [click] open what was last hovered over
 * @property {string} empty what to say while there is nothing
 */

export class Chart {
  /**
   * @param {Painter} painter
   * @param {{label: string, height?: number}} options the label is for screen readers
   */
  constructor(painter, { label, height = 320 }) {
    this.painter = painter;
    this.canvas = h("canvas", { role: "img", "aria-label": label });
    this.overlay = h("canvas", { class: "overlay", "aria-hidden": "true" });
    this.tip = h("div", { class: "tip", hidden: true, role: "presentation" });
    this.nothing = h("p", { class: "nothing", hidden: true }, painter.empty);
    this.element = h("div", { class: "chart", tabindex: "0", role: "group", "aria-label": `${label}: ${KEYS_HELP}`, style: { height: `${height}px` } }, this.canvas, this.overlay, this.tip, this.nothing);
    this.frame = 0;
    this.opening = 0;
    this.zoom = new Zoom(this.element, { axes: () => painter.axes(), area: (axes) => this.area(axes), changed: () => this.redraw() });
    this.isWaiting = false; // for data, so that it cannot be said that there is none
    new ResizeObserver(() => this.redraw()).observe(this.element);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.redraw());
    window.addEventListener("themechange", () => this.redraw());
    this.element.addEventListener("pointermove", (event) => this.onPointer(event));
    this.element.addEventListener("pointerleave", () => this.leave());
    if (painter.click) this.element.addEventListener("click", (event) => this.open(event));
  }

  /** The axes as they are shown. */
  axes() {
    return this.zoom.shown(this.painter.axes());
  }

  /**
   * Open what the pointer is at. On a zoomed chart it may be the first half of a double click.
   * @param {MouseEvent} event
   */
  open(event) {
    window.clearTimeout(this.opening);
    if (this.tip.hidden || event.detail > 1 || event.target === this.zoom.button) return;
    if (!this.zoom.isZoomed) return this.painter.click?.();
    this.opening = window.setTimeout(() => this.painter.click?.(), DOUBLE_CLICK_MS);
  }

  /** Draw again in the next frame. */
  redraw() {
    this.frame ||= requestAnimationFrame(() => {
      this.frame = 0;
      this.draw();
    });
  }

  draw() {
    const context = this.prepared(this.canvas);
    this.prepared(this.overlay);
    const axes = this.axes();
    this.nothing.hidden = axes !== null || this.isWaiting;
    this.leave();
    if (!context || !axes) return;
    const area = this.area(axes);
    drawAxes(context, area, axes, getComputedStyle(this.element));
    context.save();
    context.beginPath();
    context.rect(area.left, area.top, area.width, area.height);
    context.clip();
    this.painter.paint(context, area, axes);
    context.restore();
    this.element.dataset.across = axes.x.ticks.map(({ label }) => label).join(" ");
    this.element.dataset.labels = axes.y.ticks.map(({ label }) => label).join(" ");
    this.element.dataset.drawn = String(Number(this.element.dataset.drawn ?? 0) + 1);
  }

  /**
   * Where the data is drawn: what the labels of the axes leave.
   * @param {Axes} axes
   * @returns {Area}
   */
  area(axes) {
    const { clientWidth: width, clientHeight: height } = this.element;
    const context = this.canvas.getContext("2d");
    if (context) context.font = FONT;
    const widths = axes.y.ticks.map(({ label }) => context?.measureText(label).width ?? 0);
    const left = MARGIN.left + Math.min(MAX_LABEL, Math.ceil(Math.max(0, ...widths)));
    return { left, top: MARGIN.top, width: width - left - MARGIN.right, height: height - MARGIN.top - MARGIN.bottom };
  }

  /**
   * An empty canvas as large as the element, in pixels of the device.
   * @param {HTMLCanvasElement} canvas
   */
  prepared(canvas) {
    const { clientWidth: width, clientHeight: height } = this.element;
    if (!width || !height) return null;
    const ratio = devicePixelRatio || 1;
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
    const context = canvas.getContext("2d");
    context?.scale(ratio, ratio);
    return context;
  }

  /** @param {PointerEvent} event */
  onPointer(event) {
    const axes = this.painter.hover ? this.axes() : null;
    if (!axes) return;
    if (this.zoom.isDragging || event.target === this.zoom.button) return this.leave();
    const box = this.element.getBoundingClientRect();
    const [x, y] = [event.clientX - box.left, event.clientY - box.top];
    const lines = this.painter.hover?.(x, y, this.area(axes), axes) ?? null;
    if (!lines) return this.leave();
    const context = this.prepared(this.overlay);
    if (context) this.painter.highlight?.(context, this.area(axes), axes);
    fill(this.tip, lines.map((line, index) => h(index ? "div" : "b", null, line)));
    this.tip.hidden = false;
    this.element.classList.toggle("clickable", this.painter.click !== undefined);
    const left = x + 14 + this.tip.offsetWidth > box.width ? x - 14 - this.tip.offsetWidth : x + 14;
    this.tip.style.left = `${Math.max(0, left)}px`;
    this.tip.style.top = `${Math.max(0, Math.min(y + 10, box.height - this.tip.offsetHeight))}px`;
  }

  leave() {
    if (!this.tip.hidden) this.prepared(this.overlay);
    this.tip.hidden = true;
    this.element.classList.remove("clickable");
  }
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {Area} area
 * @param {Axes} axes
 * @param {CSSStyleDeclaration} style
 */
function drawAxes(context, area, { x, y, xLabel, yLabel }, style) {
  const [ink, line] = [style.getPropertyValue("--chart-ink"), style.getPropertyValue("--chart-line")];
  context.font = FONT;
  context.strokeStyle = resolved(line, style);
  context.fillStyle = resolved(ink, style);
  context.lineWidth = 1;
  context.textAlign = "center";
  context.textBaseline = "top";
  const bottom = area.top + area.height;
  let end = -Infinity;
  for (const { value, label } of x.ticks) {
    const at = Math.round(area.left + x.at(value) * area.width) + 0.5;
    const half = context.measureText(label).width / 2;
    if (at - half < end || at + half > area.left + area.width + MARGIN.right) continue;
    end = at + half + 8;
    stroke(context, at, area.top, at, bottom);
    context.fillText(label, at, bottom + 5);
  }
  context.fillText(xLabel, area.left + area.width / 2, bottom + 21);
  context.textAlign = "right";
  context.textBaseline = "middle";
  for (const { value, label } of y.ticks) {
    const at = Math.round(bottom - y.at(value) * area.height) + 0.5;
    stroke(context, area.left, at, area.left + area.width, at);
    context.fillText(label, area.left - 6, at);
  }
  context.save();
  context.translate(9, area.top + area.height / 2);
  context.rotate(-Math.PI / 2);
  context.textAlign = "center";
  context.fillText(yLabel, 0, 0, area.height);
  context.restore();
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {number} x0
 * @param {number} y0
 * @param {number} x1
 * @param {number} y1
 */
function stroke(context, x0, y0, x1, y1) {
  context.beginPath();
  context.moveTo(x0, y0);
  context.lineTo(x1, y1);
  context.stroke();
}

/**
 * A custom property as a canvas takes it, which knows no light-dark(): the first colour or the second.
 * @param {string} value
 * @param {CSSStyleDeclaration} style
 */
export function resolved(value, style) {
  const found = /^\s*light-dark\((.+),\s*([^,]+)\)\s*$/.exec(value);
  if (!found) return value.trim();
  return (isDark() ? found[2] : found[1]).trim() || style.color;
}
