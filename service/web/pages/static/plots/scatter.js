// Trials as points over two values, on a surface of a third one if there is one.

import { Chart } from "./chart.js";

/** @typedef {import("./scales.js").Scale} Scale */

/**
 * @typedef {object} Point
 * @property {number} number of the trial
 * @property {any} x
 * @property {any} y
 * @property {string} colour
 * @property {string[]} lines what the tooltip says
 * @property {boolean} [isCross]
 */

/**
 * @typedef {object} Scene
 * @property {Point[]} points
 * @property {Scale} x
 * @property {Scale} y
 * @property {string} xLabel
 * @property {string} yLabel
 * @property {string[][] | null} [surface] colours of a grid, from the bottom row to the top one
 * @property {Point[]} [joined] points to be connected by a line
 */

const NEAR_PIXELS = 16;

export class ScatterPlot {
  /** @param {{label: string, height: number, open: (number: number) => void}} given */
  constructor({ label, height, open }) {
    this.open = open;
    this.scene = /** @type {Scene | null} */ (null);
    this.near = /** @type {Point | null} */ (null);
    this.empty = "No trial is complete yet.";
    this.chart = new Chart(this, { label, height });
    this.chart.nothing.textContent = this.empty;
    this.element = this.chart.element;
  }

  /** @param {Scene} scene */
  show(scene) {
    this.scene = scene;
    this.element.dataset.points = String(scene.points.length);
    this.chart.redraw();
  }

  axes() {
    return this.scene?.points.length ? this.scene : null;
  }

  /**
   * @param {CanvasRenderingContext2D} context
   * @param {import("./chart.js").Area} area
   * @param {import("./chart.js").Axes} axes
   */
  paint(context, area, axes) {
    const { points, joined, surface } = /** @type {Scene} */ (this.scene);
    if (surface) paintSurface(context, area, axes, surface);
    if (joined) {
      context.strokeStyle = "#1f78c8";
      context.setLineDash([3, 3]);
      context.beginPath();
      joined.forEach((one, index) => context[index ? "lineTo" : "moveTo"](...placeOf(one, area, axes)));
      context.stroke();
      context.setLineDash([]);
    }
    context.lineWidth = 1;
    for (const one of points) {
      const [x, y] = placeOf(one, area, axes);
      context.fillStyle = context.strokeStyle = one.colour;
      context.beginPath();
      if (one.isCross) {
        context.lineWidth = 2;
        for (const sign of [1, -1]) {
          context.moveTo(x - 4, y - 4 * sign);
          context.lineTo(x + 4, y + 4 * sign);
        }
        context.stroke();
        context.lineWidth = 1;
        continue;
      }
      context.arc(x, y, surface ? 4.5 : 3.5, 0, 2 * Math.PI);
      context.fill();
      if (surface) {
        context.strokeStyle = "#fff";
        context.stroke();
      }
    }
  }

  /**
   * @param {number} x
   * @param {number} y
   * @param {import("./chart.js").Area} area
   * @param {import("./chart.js").Axes} axes
   */
  hover(x, y, area, axes) {
    let [best, distance] = [/** @type {Point | null} */ (null), NEAR_PIXELS];
    for (const one of this.scene?.points ?? []) {
      const [px, py] = placeOf(one, area, axes);
      const far = Math.hypot(px - x, py - y);
      if (far < distance) [best, distance] = [one, far];
    }
    this.near = best;
    return best?.lines ?? null;
  }

  /**
   * @param {CanvasRenderingContext2D} context
   * @param {import("./chart.js").Area} area
   * @param {import("./chart.js").Axes} axes
   */
  highlight(context, area, axes) {
    if (!this.near) return;
    context.strokeStyle = "#e0457b";
    context.lineWidth = 2.5;
    context.beginPath();
    context.arc(...placeOf(this.near, area, axes), 7, 0, 2 * Math.PI);
    context.stroke();
  }

  click() {
    if (this.near) this.open(this.near.number);
  }
}

/**
 * @param {Point} point
 * @param {import("./chart.js").Area} area
 * @param {import("./chart.js").Axes} axes
 * @returns {[number, number]}
 */
const placeOf = (point, area, { x, y }) => [area.left + x.at(point.x) * area.width, area.top + (1 - y.at(point.y)) * area.height];

/**
 * @param {CanvasRenderingContext2D} context
 * @param {import("./chart.js").Area} area
 * @param {import("./chart.js").Axes} axes
 * @param {string[][]} surface over the whole axes
 */
function paintSurface(context, area, axes, surface) {
  const small = document.createElement("canvas");
  [small.width, small.height] = [surface[0].length, surface.length];
  const pixels = small.getContext("2d");
  if (!pixels) return;
  surface.forEach((row, j) => row.forEach((colour, i) => {
    pixels.fillStyle = colour;
    pixels.fillRect(i, surface.length - 1 - j, 1, 1);
  }));
  context.globalAlpha = 0.6;
  const [[left, right], [bottom, top]] = [axes.x.part ?? [0, 1], axes.y.part ?? [0, 1]];
  const [width, height] = [area.width / (right - left), area.height / (top - bottom)];
  context.drawImage(small, area.left - left * width, area.top - (1 - top) * height, width, height); // the browser smooths what it enlarges
  context.globalAlpha = 1;
}
