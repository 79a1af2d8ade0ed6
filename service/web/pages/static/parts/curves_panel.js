// The card with the learning curves: which metric, train beside validation, log axes.

import { fill, h } from "../lib/dom.js";
import { objectivesOf } from "../lib/data.js";
import { counted } from "../lib/format.js";
import { CurvesPlot } from "../plots/curves.js";

/** @typedef {import("./study_model.js").StudyModel} StudyModel */

/**
 * @param {StudyModel} model
 * @param {(number: number) => void} open
 */
export function curvesPanel(model, open) {
  const plot = new CurvesPlot({ open, params: (number) => model.rows.get(number)?.params ?? {} });
  const metric = h("select", { "aria-label": "Metric", onchange: () => void choose() });
  const withTrain = h("input", { type: "checkbox", onchange: () => void choose() });
  const trainLabel = h("label", null, withTrain, h("span", null));
  const logX = h("input", { type: "checkbox", onchange: () => show() });
  const logY = h("input", { type: "checkbox", onchange: () => show() });
  const note = h("p", { class: "note" });

  const beside = () => (withTrain.checked && !trainLabel.hidden ? counterpart(metric.value, model.available) : null);
  const choose = () => {
    const other = counterpart(metric.value, model.available);
    return model.quietly(() => model.loadCurves(withTrain.checked && other ? [metric.value, other] : [metric.value]));
  };
  const show = () => {
    const chosen = metric.value || objectivesOf(model.study)[0].metric;
    if (metric.options.length !== model.available.length) {
      fill(metric, model.available.map((name) => h("option", { value: name }, name)));
      metric.value = model.available.includes(chosen) ? chosen : model.available[0] ?? "";
    }
    const other = counterpart(metric.value, model.available);
    trainLabel.hidden = !other;
    if (other) fill(trainLabel.children[1], ` with ${other}, dashed`);
    const { direction } = objectivesOf(model.study)[0];
    plot.chart.isWaiting = !model.loaded.has("curves");
    plot.show([...model.curves.values()], { metric: metric.value, beside: beside(), logX: logX.checked, logY: logY.checked, direction, only: model.matching });
    if (model.loaded.has("curves")) fill(note, `${counted(plot.curves.length, "trial")}; the brighter, the better; pruned and failed ones are pale, running ones blue`);
    plot.element.dataset.curves = String(plot.curves.length);
  };
  model.on(["curves", "filter"], show);
  return h("section", { class: "card" }, h("h2", null, "Learning curves"),
    h("div", { class: "tools" }, metric, trainLabel, h("label", null, logX, " log epochs"), h("label", null, logY, " log values")),
    plot.element, note);
}

/**
 * The same metric in training for one of validation, and the other way round.
 * @param {string} metric
 * @param {string[]} available
 * @returns {string | null}
 */
export function counterpart(metric, available) {
  for (const [one, other] of [["validation", "train"], ["train", "validation"], ["val", "train"], ["train", "val"], ["valid", "train"]]) {
    const name = metric.replace(new RegExp(`(^|[_./-])${one}(?=[_./-]|$)`), `$1${other}`);
    if (name !== metric && available.includes(name)) return name;
  }
  return null;
}
