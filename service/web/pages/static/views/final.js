// The final evaluation: begin it, watch it, read its record.

import { ApiError, get, send, studyPath } from "../lib/api.js";
import { fill, h } from "../lib/dom.js";
import { ask } from "../lib/dialog.js";
import { moment, numeric, shown } from "../lib/format.js";
import { may } from "../lib/session.js";
import { trialAddress } from "../parts/study_header.js";

/** @typedef {import("../parts/study_model.js").StudyModel} StudyModel */

const AGAIN_MS = 2000;

/**
 * @param {HTMLElement} panel
 * @param {StudyModel} model
 */
export async function showFinal(panel, model) {
  let timer = 0;
  const load = async () => {
    window.clearTimeout(timer);
    const final = await readFinal(model.name);
    fill(panel, final ? recordOf(model, final, load) : introOf(model, load));
    if (final?.state === "running") timer = window.setTimeout(() => void model.quietly(load), AGAIN_MS);
  };
  await load();
  model.addEventListener("study", () => panel.isConnected && void model.quietly(load));
}

/** @param {string} name */
async function readFinal(name) {
  try {
    return await get(studyPath(name, "/final"));
  } catch (error) {
    if (error instanceof ApiError && error.status === 404) return null;
    throw error;
  }
}

/**
 * @param {StudyModel} model
 * @param {() => Promise<void>} load
 */
function introOf(model, load) {
  const isOver = model.study.state === "finished" || model.study.state === "stopped";
  return h("section", { class: "card" }, h("h2", null, "Final evaluation"),
    h("p", null, "The best configurations are trained again with fresh seeds. The one with the best mean wins, and its model is evaluated on the test split, once."),
    isOver ? null : h("p", { class: "quiet" }, "It can begin once the study has ended or was stopped."),
    may("submit") && isOver && h("button", { type: "button", class: "primary", onclick: () => askBegin(model, load, false) }, "Begin the final evaluation"));
}

/**
 * @param {StudyModel} model
 * @param {() => Promise<void>} load
 * @param {boolean} force
 */
async function askBegin(model, load, force) {
  const done = await ask({
    title: force ? "Another final evaluation?" : "Begin the final evaluation?",
    body: [
      h("p", null, force ? "The test split was used before. Another evaluation makes its score less honest; the record says so, with your reason." : "The test split is read once, and the record stays."),
      h("label", null, "Configurations to confirm", h("input", { type: "number", name: "top_k", min: "1", placeholder: "as in the definition" })),
      h("label", null, "Fresh seeds for each", h("input", { type: "number", name: "n_seeds", min: "1", placeholder: "as in the definition" })),
      force ? h("label", null, "Reason", h("input", { name: "reason", required: true, maxlength: "500" })) : null,
    ],
    action: "Begin",
    isDanger: true,
    run: (form) => {
      const numbers = ["top_k", "n_seeds"].filter((name) => form.get(name)).map((name) => [name, Number(form.get(name))]);
      return send("POST", studyPath(model.name, "/final"), { ...Object.fromEntries(numbers), ...(force ? { force: true, reason: form.get("reason") } : {}) });
    },
  });
  if (done) await load();
}

/**
 * @param {StudyModel} model
 * @param {any} final
 * @param {() => Promise<void>} load
 */
function recordOf(model, final, load) {
  const score = final.test_said;
  const linked = `/studies/${encodeURIComponent(final.linked_study)}`;
  return [
    h("section", { class: "card" }, h("h2", null, "Final evaluation ", h("span", { class: `badge ${final.state === "complete" ? "finished" : final.state}` }, final.state)),
      final.state === "running" && h("p", null, `${final.trials_done} of ${final.trials_total} trainings are done. `, h("a", { href: linked }, "Watch them")),
      final.failure && h("p", { class: "problem" }, final.failure),
      score && h("p", { class: "value" }, h("b", null, scoreText(score))),
      final.winner !== null && h("p", null, "Winner: ", h("a", { href: trialAddress(model.name, final.winner) }, `trial ${final.winner}`), final.comparison ? ` (${final.comparison})` : "",
        final.distinguishable === false ? ". It cannot be told apart from the runner-up." : ""),
      h("p", { class: "quiet" }, [`requested by ${final.requested_by}`, moment(final.requested_at), final.ended_at ? `ended ${moment(final.ended_at)}` : "", final.forced ? `the test split was used before: ${final.reason}` : ""].filter(Boolean).join(" · ")),
      may("submit") && final.state !== "running" && h("button", { type: "button", onclick: () => askBegin(model, load, final.state === "complete") }, "Evaluate again")),
    h("section", { class: "card" }, h("h2", null, "Confirmed configurations"), candidatesTable(model.name, final)),
    final.earlier?.length > 0 && h("section", { class: "card" }, h("h2", null, "Earlier evaluations"),
      h("ul", null, final.earlier.map((/** @type {any} */ one) => h("li", null, `${one.number}: ${one.state}, ${moment(one.requested_at)}`, one.failure ? `, ${one.failure}` : "")))),
  ];
}

/** @param {any} score */
function scoreText(score) {
  const [low, high] = [score.accuracy_low, score.accuracy_high].map((share) => `${(100 * share).toFixed(1)} %`);
  return `Test accuracy ${shown(score.accuracy)} (95 % interval ${low} to ${high}, ${score.n_images} images), loss ${shown(numeric(score.loss))}`;
}

/**
 * @param {string} study
 * @param {any} final
 */
function candidatesTable(study, final) {
  const titles = ["trial", "in the search", "mean", "standard error", "each seed", ""];
  const figure = (/** @type {any} */ value) => (value === null ? "" : shown(numeric(value)));
  const rows = final.candidates.map((/** @type {any} */ one) => h("tr", { class: one.trial_number === final.winner ? "winner" : "" },
    h("td", null, h("a", { href: trialAddress(study, one.trial_number) }, one.trial_number)), h("td", null, figure(one.validation_said)),
    h("td", null, figure(one.confirmed_mean)), h("td", null, figure(one.standard_error)), h("td", null, one.confirmed_values.map(figure).join(", ")),
    h("td", { class: "text" }, one.violated.length ? `breaks ${one.violated.join(", ")}` : one.trial_number === final.winner ? "winner" : "")));
  return h("div", { class: "sideways" }, h("table", null, h("thead", null, h("tr", null, titles.map((one) => h("th", { scope: "col" }, one)))), h("tbody", null, rows)));
}
