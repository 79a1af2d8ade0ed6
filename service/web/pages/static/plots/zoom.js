// Zoom of a chart: drag a frame and double click to see all again, or + and -, arrow keys and 0 where it has the focus.

import { h } from "../lib/dom.js";
import { zoomed } from "./scales.js";

/** @typedef {import("./chart.js").Axes} Axes */
/** @typedef {import("./chart.js").Area} Area */
/** @typedef {import("./scales.js").Scale} Scale */
/** @typedef {{low: number, high: number, from: any, to: any}} Part of an axis: its positions on the whole of it, and the values there */
/** @typedef {{axes: () => Axes | null, area: (axes: Axes) => Area, changed: () => void}} Chart the axes are the whole ones */

const MIN_DRAG = 8; // pixels; what moves less is a click, or a frame for the other axis alone
const CLOSER = 0.7;
const MOVE = 0.2;
const CLOSEST = 1e-6;
const KEYS = /** @type {Record<string, [number, number, number]>} factor, then moves to the right and up */ ({
  "+": [CLOSER, 0, 0], "=": [CLOSER, 0, 0], "-": [1 / CLOSER, 0, 0],
  ArrowLeft: [1, -MOVE, 0], ArrowRight: [1, MOVE, 0], ArrowDown: [1, 0, -MOVE], ArrowUp: [1, 0, MOVE],
});

export class Zoom {
  /**
   * @param {HTMLElement} element
   * @param {Chart} chart
   */
  constructor(element, chart) {
    this.element = element;
    this.chart = chart;
    this.parts = /** @type {{x: Part | null, y: Part | null}} null for all of the axis */ ({ x: null, y: null });
    this.of = "";
    this.start = /** @type {[number, number] | null} where the pointer was pressed */ (null);
    this.hasDragged = false;
    this.frame = h("div", { class: "zoomframe", hidden: true });
    this.button = h("button", { type: "button", class: "quiet zoomreset", hidden: true, onclick: () => this.reset() }, "Reset zoom");
    element.append(this.frame, this.button);
    element.addEventListener("pointerdown", (event) => this.press(event));
    element.addEventListener("pointermove", (event) => this.drag(event));
    element.addEventListener("pointerup", (event) => this.release(event));
    element.addEventListener("pointercancel", () => this.cancel());
    element.addEventListener("click", (event) => this.swallow(event), true);
    element.addEventListener("dblclick", () => this.reset());
    element.addEventListener("keydown", (event) => this.pressKey(event));
  }

  get isZoomed() {
    return this.parts.x !== null || this.parts.y !== null;
  }

  get isDragging() {
    return !this.frame.hidden;
  }

  /**
   * The axes as they are shown. Axes of something else begin without a zoom.
   * @param {Axes | null} axes the whole ones
   */
  shown(axes) {
    if (!axes || !this.isZoomed) return axes;
    if (this.of !== nameOf(axes)) {
      this.parts = { x: null, y: null };
      this.button.hidden = true;
      return axes;
    }
    return { ...axes, x: part(axes.x, this.parts.x), y: part(axes.y, this.parts.y) };
  }

  reset() {
    if (this.isZoomed) this.show({ x: null, y: null });
  }

  /** @param {{x: Part | null, y: Part | null}} parts */
  show(parts) {
    const axes = this.chart.axes();
    if (!axes) return;
    this.of = nameOf(axes);
    this.parts = parts;
    if (this.button === document.activeElement && !this.isZoomed) this.element.focus();
    this.button.hidden = !this.isZoomed;
    this.chart.changed();
  }

  /** @param {PointerEvent} event */
  press(event) {
    this.hasDragged = false;
    if (event.button || event.pointerType === "touch" || event.target === this.button) return;
    this.start = this.placeOf(event);
  }

  /** @param {PointerEvent} event */
  drag(event) {
    if (!this.start) return;
    if (!event.buttons) return this.cancel();
    const [[x, y], [x0, y0]] = [this.placeOf(event), this.start];
    if (Math.max(Math.abs(x - x0), Math.abs(y - y0)) < MIN_DRAG) return;
    const whole = this.chart.axes();
    if (!whole) return;
    if (this.frame.hidden) this.element.setPointerCapture(event.pointerId);
    const area = this.chart.area(/** @type {Axes} */ (this.shown(whole)));
    const [[left, right], [top, bottom]] = frameOf([x0, x], [y0, y], area);
    for (const [name, pixels] of Object.entries({ left, top, width: right - left, height: bottom - top })) this.frame.style.setProperty(name, `${pixels}px`);
    this.frame.hidden = false;
  }

  /** @param {PointerEvent} event */
  release(event) {
    const [start, whole] = [this.start, this.chart.axes()];
    if (!start || !whole || !this.isDragging) return this.cancel();
    const area = this.chart.area(/** @type {Axes} */ (this.shown(whole)));
    const [x, y] = this.placeOf(event);
    const [across, down] = frameOf([start[0], x], [start[1], y], area);
    const [left, right] = across.map((one) => (one - area.left) / area.width);
    const [top, bottom] = down.map((one) => 1 - (one - area.top) / area.height);
    this.cancel();
    this.hasDragged = true;
    this.show({ x: inside(whole.x, this.parts.x, left, right), y: inside(whole.y, this.parts.y, bottom, top) });
  }

  cancel() {
    this.start = null;
    this.frame.hidden = true;
  }

  /**
   * The click that ends a drag means nothing else.
   * @param {Event} event
   */
  swallow(event) {
    if (this.hasDragged) event.stopImmediatePropagation();
    this.hasDragged = false;
  }

  /** @param {KeyboardEvent} event */
  pressKey(event) {
    if (event.target !== this.element || event.ctrlKey || event.metaKey || event.altKey) return;
    const whole = this.chart.axes();
    if (event.key === "0" || event.key === "Escape") return this.reset();
    const does = KEYS[event.key];
    if (!does || !whole || (does[0] === 1 && !this.isZoomed)) return;
    event.preventDefault();
    const [factor, right, up] = does;
    const [low, high] = [0.5 - factor / 2, 0.5 + factor / 2];
    this.show({ x: inside(whole.x, this.parts.x, low + right, high + right), y: inside(whole.y, this.parts.y, low + up, high + up) });
  }

  /**
   * @param {PointerEvent} event
   * @returns {[number, number]}
   */
  placeOf(event) {
    const box = this.element.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  }
}

/** @param {Axes} axes */
const nameOf = ({ xLabel, yLabel }) => `${xLabel}\n${yLabel}`;

/**
 * The frame in pixels: a flat one is as high as the chart, and a narrow one as wide.
 * @param {[number, number]} across
 * @param {[number, number]} down
 * @param {Area} area
 */
function frameOf(across, down, area) {
  return [ends(across, area.left, area.left + area.width), ends(down, area.top, area.top + area.height)];
}

/**
 * @param {[number, number]} pressed
 * @param {number} low
 * @param {number} high
 */
function ends([one, other], low, high) {
  if (Math.abs(one - other) < MIN_DRAG) return [low, high];
  return [Math.max(low, Math.min(one, other)), Math.min(high, Math.max(one, other))];
}

/**
 * An axis as it is shown.
 * @param {Scale} scale the whole one
 * @param {Part | null} shown
 */
function part(scale, shown) {
  if (!shown) return scale;
  const [low, high] = placesOf(scale, shown);
  return zoomed(scale, low, high);
}

/**
 * Where a part lies on an axis that may have grown since.
 * @param {Scale} scale
 * @param {Part} shown
 */
function placesOf(scale, { low, high, from, to }) {
  const places = scale.choices ? [NaN, NaN] : [scale.at(from), scale.at(to)];
  return places.every(Number.isFinite) && places[1] > places[0] ? places : [low, high];
}

/**
 * A part of what is shown of an axis.
 * @param {Scale} scale the whole one
 * @param {Part | null} shown
 * @param {number} from its low end on what is shown
 * @param {number} to
 * @returns {Part | null}
 */
function inside(scale, shown, from, to) {
  const [start, end] = shown ? placesOf(scale, shown) : [0, 1];
  let [low, high] = [start + from * (end - start), start + to * (end - start)];
  if (high - low >= 1) return null;
  if (low < 0) [low, high] = [0, high - low];
  if (high > 1) [low, high] = [low - (high - 1), 1];
  if (high - low < CLOSEST) return shown;
  return { low, high, from: scale.back(low), to: scale.back(high) };
}
