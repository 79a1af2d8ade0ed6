// Which trials overfit, underfit or diverged, and what to change next.

import { get, studyPath } from "../lib/api.js";
import { fill, h } from "../lib/dom.js";
import { counted, numeric, shown } from "../lib/format.js";
import { throttled } from "../lib/live.js";
import { trialAddress } from "../parts/study_header.js";

/** @typedef {import("../parts/study_model.js").StudyModel} StudyModel */

const REFRESH_MS = 5000;
const VERDICTS = ["healthy", "overfitting", "underfitting", "diverged", "unclear"];
const MAX_ROWS = 500;

/**
 * @param {HTMLElement} panel
 * @param {StudyModel} model
 */
export async function showDiagnosis(panel, model) {
  const load = async () => void fill(panel, cardOf(model.name, await get(studyPath(model.name, "/diagnosis"))));
  await load();
  const again = throttled(() => model.quietly(load), REFRESH_MS);
  model.addEventListener("rows", () => panel.isConnected && again());
}

/**
 * @param {string} study
 * @param {any} diagnosis
 */
function cardOf(study, diagnosis) {
  const found = VERDICTS.filter((one) => diagnosis.counts[one]);
  const bar = h("div", { class: "bar" }, found.map((one) => h("div", { class: one, style: { flex: String(diagnosis.counts[one]) }, title: `${diagnosis.counts[one]} ${one}` })));
  const legend = h("p", { class: "legend" }, found.map((one) => h("span", null, h("i", { class: `dot ${one}` }), `${diagnosis.counts[one]} ${one}`)));
  const titles = ["trial", "verdict", "because", "best epoch", diagnosis.train_metric, diagnosis.validation_metric, "gap"];
  const number = (/** @type {any} */ value) => (value === null ? "" : shown(numeric(value)));
  const trials = [...diagnosis.trials].reverse().slice(0, MAX_ROWS);
  const rows = trials.map((one) => h("tr", null,
    h("td", null, h("a", { href: trialAddress(study, one.number) }, one.number)), h("td", { class: "text" }, h("i", { class: `dot ${one.verdict}` }), one.verdict),
    h("td", { class: "text" }, one.because), h("td", null, one.best_epoch), h("td", null, number(one.train)), h("td", null, number(one.validation)), h("td", null, number(one.gap))));
  return [
    h("section", { class: "card" }, h("h2", null, "How the trials learned"),
      found.length ? [bar, legend] : h("p", { class: "quiet" }, "No trial has begun yet."),
      h("p", { class: "note" }, `By ${diagnosis.train_metric} and ${diagnosis.validation_metric} of each trial.`)),
    diagnosis.advice.length > 0 && h("section", { class: "card" }, h("h2", null, "What to change next"),
      h("ul", { class: "advice" }, diagnosis.advice.map((/** @type {any} */ one) => h("li", null, one.message, one.field ? [" ", h("code", null, one.field)] : null)))),
    rows.length > 0 && h("section", { class: "card" }, h("h2", null, counted(diagnosis.trials.length, "trial")),
      diagnosis.n_left_out + diagnosis.trials.length > trials.length && h("p", { class: "note" }, `The newest ${trials.length} are shown.`),
      h("div", { class: "sideways" }, h("table", null, h("thead", null, h("tr", null, titles.map((one, index) => h("th", { scope: "col", class: index === 1 || index === 2 ? "text" : "" }, one)))), h("tbody", null, rows)))),
  ];
}
