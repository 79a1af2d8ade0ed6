// What the parameters do: importance, slices, the contour of two of them; for several objectives the Pareto front.

import { get, studyPath } from "../lib/api.js";
import { fill, h } from "../lib/dom.js";
import { objectivesOf, spaceOf } from "../lib/data.js";
import { percent } from "../lib/format.js";
import { throttled } from "../lib/live.js";
import { trialAddress } from "../parts/study_header.js";
import { contourOf, paretoOf, sliceOf } from "../plots/parameter_plots.js";
import { ScatterPlot } from "../plots/scatter.js";

/** @typedef {import("../parts/study_model.js").StudyModel} StudyModel */

const REFRESH_MS = 5000;

/**
 * @param {HTMLElement} panel
 * @param {StudyModel} model
 */
export async function showAnalysis(panel, model) {
  const open = (/** @type {number} */ number) => location.assign(trialAddress(model.name, number));
  const objectives = objectivesOf(model.study);
  const names = () => [...new Set([...Object.keys(spaceOf(model.study)), ...[...model.rows.values()].flatMap((row) => Object.keys(row.params))])];
  const choice = (/** @type {string} */ label, /** @type {string[]} */ all, at = 0) => {
    const select = h("select", { "aria-label": label, onchange: () => show() }, all.map((one) => h("option", { value: one }, one)));
    select.selectedIndex = Math.min(at, all.length - 1);
    return select;
  };
  const objective = choice("Objective", objectives.map((one) => one.metric));
  const [first, second] = [choice("First parameter", names()), choice("Second parameter", names(), 1)];
  const importance = h("div", { class: "shares" }, h("p", { class: "quiet" }, "Being computed…"));
  const slices = h("div", { class: "slices" });
  const drawn = /** @type {Map<string, ScatterPlot>} */ (new Map());
  const contour = new ScatterPlot({ label: "The objective over two parameters", height: 460, open });
  const pareto = new ScatterPlot({ label: "Pareto front", height: 420, open });
  const [paretoX, paretoY] = [choice("Objective to the right", objectives.map((one) => one.metric)), choice("Objective upwards", objectives.map((one) => one.metric), 1)];
  const nothing = h("p", { class: "quiet" }, "No trial is complete yet.");
  const paretoCard = h("section", { class: "card" }, h("h2", null, "Pareto front"), h("div", { class: "tools" }, paretoX, paretoY), pareto.element,
    h("p", { class: "note" }, "No other trial beats the blue ones in every objective. Crosses break a constraint. A trial that is infinite on an axis is not drawn."));
  fill(panel, nothing, objectives.length > 1 && paretoCard,
    h("section", { class: "card" }, h("h2", null, "Importance"), importance),
    h("section", { class: "card" }, h("div", { class: "heading" }, h("h2", null, "Each parameter"), objectives.length > 1 && objective), slices),
    h("section", { class: "card" }, h("h2", null, "Two parameters"), h("div", { class: "tools" }, first, second), contour.element));

  const show = () => {
    const rows = [...model.rows.values()].filter((row) => row.state === "COMPLETE" && row.values.length);
    nothing.hidden = rows.length > 0;
    if (!rows.length) return;
    const index = objective.selectedIndex;
    const given = { rows, space: spaceOf(model.study), objective: objectives[index], index };
    for (const name of names()) {
      const plot = drawn.get(name) ?? new ScatterPlot({ label: `${objectives[index].metric} over ${name}`, height: 250, open });
      if (!drawn.has(name)) slices.append(plot.element);
      drawn.set(name, plot);
      plot.show(sliceOf(given, name));
    }
    if (first.value && second.value) contour.show(contourOf(given, first.value, second.value));
    if (objectives.length > 1) pareto.show(paretoOf(rows, objectives, paretoX.selectedIndex, paretoY.selectedIndex));
  };
  const showImportance = async () => fill(importance, importanceOf(await get(studyPath(model.name, "/importance"))));
  const again = throttled(() => {
    show();
    return model.quietly(async () => void (await showImportance()));
  }, REFRESH_MS);
  model.addEventListener("progress", () => panel.isConnected && again());
  show();
  await showImportance();
}

/** @param {{metric: string, importances: Record<string, number>, note: string | null}} answer */
function importanceOf({ metric, importances, note }) {
  const shares = Object.entries(importances);
  const largest = Math.max(...shares.map(([, share]) => share), 0.01);
  return [
    shares.length ? h("p", { class: "note" }, `Share of each parameter in how ${metric} varies.`) : h("p", { class: "quiet" }, "At least two trials with different values are needed."),
    ...shares.map(([name, share]) => h("div", { class: "share" }, h("span", { class: "label" }, name),
      h("span", { class: "track" }, h("i", { style: { width: `${(100 * share) / largest}%` } })), h("span", { class: "figure" }, percent(share)))),
    note && h("p", { class: "note" }, note),
  ];
}

