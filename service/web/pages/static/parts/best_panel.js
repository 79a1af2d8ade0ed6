// The card with the best value so far, by trials, by epochs or by time.

import { h } from "../lib/dom.js";
import { objectivesOf } from "../lib/data.js";
import { StepsPlot } from "../plots/steps.js";

/** @typedef {import("./study_model.js").StudyModel} StudyModel */
/** @typedef {import("../lib/data.js").Progress} Progress */

export const BASES = /** @type {Record<string, {key: "by_trial" | "by_epochs" | "by_seconds", end: "n_trials" | "n_epochs" | "seconds", label: string}>} */ ({
  trials: { key: "by_trial", end: "n_trials", label: "trials" },
  epochs: { key: "by_epochs", end: "n_epochs", label: "epochs of all trials" },
  time: { key: "by_seconds", end: "seconds", label: "time since the start" },
});

/** @param {StudyModel} model */
export function bestPanel(model) {
  const plot = new StepsPlot({ label: "Best objective value so far" });
  const base = h("select", { "aria-label": "Best by", onchange: () => show() }, Object.keys(BASES).map((one) => h("option", { value: one }, `by ${one}`)));
  const objective = h("select", { "aria-label": "Objective", onchange: () => show() }, objectivesOf(model.study).map((one, index) => h("option", { value: String(index) }, one.metric)));
  objective.hidden = objective.options.length < 2;
  const show = () => {
    const index = Number(objective.value || 0);
    const { label, key } = BASES[base.value];
    plot.chart.isWaiting = !model.progress;
    const lines = model.progress ? [lineOf("best", model.progress, index, base.value)] : [];
    plot.show(lines, { x: label, y: objectivesOf(model.study)[index].metric, isTime: key === "by_seconds" });
  };
  model.on(["progress"], show);
  return h("section", { class: "card" }, h("h2", null, "Best so far"), h("div", { class: "tools" }, base, objective), plot.element);
}

/**
 * The line of one objective of a study.
 * @param {string} name
 * @param {Progress} progress
 * @param {number} index of the objective
 * @param {string} base a key of BASES
 */
export function lineOf(name, progress, index, base) {
  const { key, end } = BASES[base];
  const { x, y } = progress.objectives[index][key];
  return { name, x, y, end: Math.max(progress[end], x[x.length - 1] ?? 0) };
}

