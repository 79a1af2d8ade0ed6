// How the study goes: learning curves, best so far, parallel coordinates and all trials, one filter for all of them.

import { reasonOf } from "../lib/api.js";
import { fill, h } from "../lib/dom.js";
import { objectivesOf, spaceOf } from "../lib/data.js";
import { throttled } from "../lib/live.js";
import { curvesPanel } from "../parts/curves_panel.js";
import { bestPanel } from "../parts/best_panel.js";
import { trialAddress } from "../parts/study_header.js";
import { trialsTable } from "../parts/trials_table.js";
import { ParallelPlot } from "../plots/parallel.js";

/** @typedef {import("../parts/study_model.js").StudyModel} StudyModel */

const PARALLEL_MS = 2000;

/**
 * @param {HTMLElement} panel
 * @param {StudyModel} model
 */
export function showOverview(panel, model) {
  const open = (/** @type {number} */ number) => location.assign(trialAddress(model.name, number));
  const parallel = new ParallelPlot({ open, onBrush: (where) => void apply(where) });
  const count = h("span", { class: "quiet", role: "status" });
  const problem = h("p", { class: "problem", role: "alert", hidden: true });
  const field = h("input", { type: "search", class: "where", spellcheck: "false", placeholder: "dropout < 0.3 and state = COMPLETE", "aria-label": "Filter the trials" });
  const apply = async (/** @type {string} */ where) => {
    field.value = where;
    try {
      await model.filter(where.trim());
      problem.hidden = true;
    } catch (error) {
      problem.hidden = false;
      fill(problem, reasonOf(error));
    }
  };
  const form = h("form", { class: "tools filter", role: "search" }, field, h("button", { type: "submit" }, "Filter"),
    h("button", { type: "button", onclick: () => { parallel.clear(); void apply(""); } }, "Show all"), count);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    parallel.clear();
    void apply(field.value);
  });
  const parallelCard = h("section", { class: "card wide" }, h("h2", null, "Parameters and objective"),
    h("p", { class: "note" }, "Drag along an axis to choose a range, or type its numbers below; click the axis to drop it. The curves and the table follow."), parallel.element);
  fill(panel, h("div", { class: "grid" }, curvesPanel(model, open), bestPanel(model), parallelCard),
    h("section", { class: "card" }, h("h2", null, "Trials"), form, problem, trialsTable(model)));
  const show = () => {
    const rows = [...model.rows.values()];
    const names = model.columns.filter((one) => one.startsWith("params.")).map((one) => one.slice(7));
    parallelCard.hidden = !rows.some((row) => row.state === "COMPLETE");
    parallel.show(rows, names, spaceOf(model.study), objectivesOf(model.study), model.matching);
    fill(count, model.matching ? `${model.matching.size} of ${model.rows.size} trials` : "");
  };
  const again = throttled(show, PARALLEL_MS);
  model.addEventListener("rows", again);
  model.on(["filter"], show);
}
