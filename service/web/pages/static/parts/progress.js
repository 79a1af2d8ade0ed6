// How far a study is: its state, a bar of its trials by state, the time that is left.

import { h } from "../lib/dom.js";

/** @typedef {import("../lib/types.js").Study} Study */

export const STATES = /** @type {const} */ ([
  ["COMPLETE", "complete"], ["PRUNED", "pruned"], ["FAIL", "failed"], ["RUNNING", "running"], ["WAITING", "waiting"],
]);

/** @param {Study} study */
export const trialsOf = (study) => study.definition.n_trials ?? 0;

/** @param {Study} study */
export const nEnded = ({ trial_counts: counts }) => counts.COMPLETE + counts.PRUNED + counts.FAIL;

/**
 * Seconds until all trials have ended at the present speed; null while that is not known.
 * @param {Study} study
 */
export function etaSeconds(study) {
  if (study.state !== "running" || !study.trials_per_hour) return null;
  const left = trialsOf(study) - nEnded(study);
  return left > 0 ? (3600 * left) / study.trials_per_hour : null;
}

/** @param {string} state */
export const stateBadge = (state) => h("span", { class: `badge ${state.toLowerCase()}` }, state.toLowerCase());

/** @param {Study} study */
export function countsBar(study) {
  const total = Math.max(1, trialsOf(study), Object.values(study.trial_counts).reduce((sum, one) => sum + one, 0));
  const text = STATES.filter(([key]) => study.trial_counts[key]).map(([key, name]) => `${study.trial_counts[key]} ${name}`).join(", ");
  return h("div", { class: "bar", role: "img", "aria-label": text || "no trial yet", title: text },
    STATES.filter(([key]) => key !== "WAITING" && study.trial_counts[key]).map(([key, name]) =>
      h("div", { class: name, style: { width: `${(100 * study.trial_counts[key]) / total}%` } })));
}
