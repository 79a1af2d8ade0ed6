// Ranges on the axes of parallel coordinates: as filters of trials, and as fields for those who draw none.

import { fill, h } from "../lib/dom.js";
import { shown } from "../lib/format.js";

/** @typedef {import("./parallel.js").Axis} Axis */
/** @typedef {{from: number, to: number, low: number | null, high: number | null, chosen: any[]}} Brush its place on the axis, from 0 to 1, and its ends, or its choices */

const MAX_CHOICES = 30;

/**
 * The brush between two places of an axis.
 * @param {Axis} axis
 * @param {number} from
 * @param {number} to
 * @returns {Brush}
 */
export function drawnBrush(axis, from, to) {
  const chosen = (axis.choices ?? []).filter((one) => axis.at(one) >= from && axis.at(one) <= to);
  const [low, high] = axis.choices ? [null, null] : [rounded(axis.back(from)), rounded(axis.back(to))];
  return { from, to, low, high, chosen };
}

/**
 * A brush as a filter of trials.
 * @param {Axis} axis
 * @param {Brush} brush
 */
export function filterOf({ column, choices }, { low, high, chosen }) {
  if (choices) return chosen.length ? `${column} in (${chosen.map(literal).join(", ")})` : `${column} is null and number < 0`;
  return [low !== null && `${column} >= ${low}`, high !== null && `${column} <= ${high}`].filter(Boolean).join(" and ");
}

/** @param {number} value */
const rounded = (value) => Number(value.toPrecision(4));

/**
 * A choice as the filter takes it.
 * @param {any} value
 */
function literal(value) {
  if (typeof value !== "string") return String(value);
  return `'${value.replaceAll("'", "''")}'`;
}

/** Two numbers for each axis, or a box for each choice. */
export class RangeFields {
  /** @param {(axis: Axis, brush: Brush | null) => void} onChange null for all of the axis */
  constructor(onChange) {
    this.onChange = onChange;
    this.axes = /** @type {Axis[]} */ ([]);
    this.fields = h("div", { class: "fields" });
    this.element = h("details", { class: "brushes" }, h("summary", null, "Ranges as numbers"), this.fields);
  }

  /**
   * Show the brushes. The fields stay while the axes are the same, with what is being typed.
   * @param {Axis[]} axes
   * @param {Map<string, Brush>} brushes by column
   */
  show(axes, brushes) {
    const isSame = axes.length === this.axes.length && axes.every((axis, index) => axis.column === this.axes[index].column && String(axis.choices) === String(this.axes[index].choices));
    this.axes = axes;
    if (!isSame) fill(this.fields, axes.map((axis, index) => this.fieldsetOf(axis, index)));
    axes.forEach((axis, index) => showIn(this.fields.children[index], axis, brushes.get(axis.column)));
  }

  /**
   * @param {Axis} axis
   * @param {number} index
   */
  fieldsetOf(axis, index) {
    const listener = () => this.change(index);
    const fields = axis.choices
      ? axis.choices.slice(0, MAX_CHOICES).map((one) => h("label", { class: "action" }, h("input", { type: "checkbox", onchange: listener }), shown(one) || "null"))
      : ["from", "to"].map((end) => h("label", { class: "action" }, end, h("input", { type: "number", step: "any", "aria-label": `${axis.label} ${end}`, onchange: listener })));
    return h("fieldset", null, h("legend", null, axis.label), fields);
  }

  /** @param {number} index */
  change(index) {
    const axis = this.axes[index];
    const inputs = [...this.fields.children[index].querySelectorAll("input")];
    if (axis.choices) {
      const chosen = axis.choices.filter((_, number) => inputs[number]?.checked);
      const places = chosen.map((one) => axis.at(one));
      const room = 0.4 / axis.choices.length;
      return this.onChange(axis, chosen.length ? { from: Math.min(...places) - room, to: Math.max(...places) + room, low: null, high: null, chosen } : null);
    }
    const [low, high] = inputs.map((input) => (input.value === "" ? null : Number(input.value)));
    const [from, to] = [placeOf(axis, low, 0), placeOf(axis, high, 1)];
    this.onChange(axis, low === null && high === null ? null : { from: Math.min(from, to), to: Math.max(from, to), low, high, chosen: [] });
  }
}

/**
 * @param {Axis} axis
 * @param {number | null} value
 * @param {number} end of the axis without a value
 */
function placeOf(axis, value, end) {
  const place = value === null ? end : axis.at(value);
  return Number.isNaN(place) ? 0 : Math.min(1, Math.max(0, place)); // a log axis has no place for 0 and less
}

/**
 * @param {Element} fieldset
 * @param {Axis} axis
 * @param {Brush | undefined} brush
 */
function showIn(fieldset, axis, brush) {
  const inputs = [...fieldset.querySelectorAll("input")];
  if (axis.choices) inputs.forEach((input, number) => (input.checked = brush?.chosen.includes(axis.choices?.[number]) ?? false));
  else {
    [brush?.low, brush?.high].forEach((value, number) => {
      if (inputs[number] !== document.activeElement) inputs[number].value = value === undefined || value === null ? "" : String(value);
    });
  }
}
