// A small line without axes.

import { svg } from "../lib/dom.js";

const [WIDTH, HEIGHT] = [120, 28];

/**
 * @param {(number | null)[]} values
 * @returns {SVGElement} empty for fewer than two values
 */
export function sparkline(values) {
  const points = values.map((value, index) => [index, value]).filter(([, value]) => value !== null && Number.isFinite(value));
  const numbers = points.map(([, value]) => Number(value));
  const [low, high] = [Math.min(...numbers), Math.max(...numbers)];
  const line = points.map(([index, value]) => {
    const x = 2 + (Number(index) / Math.max(1, values.length - 1)) * (WIDTH - 4);
    const share = (Number(value) / 2 - low / 2) / (high / 2 - low / 2); // the difference of halves is finite
    const y = high > low ? HEIGHT - 3 - share * (HEIGHT - 6) : HEIGHT / 2;
    return `${x.toFixed(1)},${y.toFixed(1)}`;
  });
  return svg("svg", { class: "spark", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, "aria-hidden": "true" },
    line.length > 1 && svg("polyline", { points: line.join(" "), fill: "none" }));
}
