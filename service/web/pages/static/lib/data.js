// What the pages read of studies, in the shapes that they work with.

import { get, getAll, studyPath } from "./api.js";
import { numeric } from "./format.js";

/** @typedef {import("./types.js").Study} Study */
/** @typedef {import("./types.js").Row} Row */
/** @typedef {import("./types.js").Curve} Curve */
/** @typedef {import("./types.js").Objective} Objective */

const DEFAULT_OBJECTIVES = /** @type {Objective[]} */ ([{ metric: "validation_accuracy", direction: "maximize" }]);

/** @typedef {{x: number[], y: number[]}} Steps */
/** @typedef {{metric: string, direction: string, by_trial: Steps, by_epochs: Steps, by_seconds: Steps}} BestSoFar */
/** @typedef {{n_trials: number, n_finished: number, n_epochs: number, seconds: number, objectives: BestSoFar[]}} Progress */

/**
 * The objectives of a study; a definition may leave them to the default.
 * @param {Study} study
 * @returns {Objective[]}
 */
export const objectivesOf = (study) => study.definition.objectives ?? DEFAULT_OBJECTIVES;

/**
 * The search space of a study; an entrypoint may ask for parameters as it runs, so that there is none.
 * @param {Study} study
 * @returns {Record<string, any>}
 */
export const spaceOf = (study) => study.definition.search_space ?? {};

/** @returns {Promise<{name: string, scopes: string[], by: string}>} */
export const readSession = () => get("/v1/session");

/** @param {string} name @returns {Promise<Study>} */
export const readStudy = (name) => get(studyPath(name));

/** @returns {Promise<Study[]>} */
export const readStudies = () => getAll("/v1/studies", "studies", { history: 30 });

/**
 * @param {string} name
 * @returns {Promise<Progress>}
 */
export async function readProgress(name) {
  const progress = await get(studyPath(name, "/progress"), { points: 300 });
  for (const one of progress.objectives) {
    for (const key of ["by_trial", "by_epochs", "by_seconds"]) one[key].y = one[key].y.map(numeric);
  }
  return progress;
}

/**
 * The learning curves of some trials.
 * @param {string} name
 * @param {string} trials best:N, last:N, running or numbers
 * @param {string[]} metrics all default to the first objective
 * @returns {Promise<{available: string[], curves: Curve[], truncated: boolean}>}
 */
export async function readCurves(name, trials, metrics) {
  const answer = await get(studyPath(name, "/curves"), { trials, metric: metrics });
  return { available: answer.available, truncated: answer.truncated, curves: answer.trials.map((/** @type {any} */ one) => curveOf(answer.metrics, one)) };
}

/**
 * @param {string[]} metrics
 * @param {any} trial
 * @returns {Curve}
 */
function curveOf(metrics, trial) {
  const values = metrics.map((name, index) => [name, trial.curves[index].map((/** @type {any} */ one) => (one === null ? null : numeric(one)))]);
  return {
    number: trial.number,
    state: trial.state,
    value: trial.value === null ? null : numeric(trial.value),
    steps: trial.steps,
    metrics: Object.fromEntries(values),
  };
}

const MAX_ROWS = 10000;

/**
 * The names of the columns that the table of a study can have.
 * @param {string} name
 * @returns {Promise<string[]>}
 */
export async function readColumns(name) {
  return (await get(studyPath(name, "/table"), { columns: ["number"], limit: 0 })).available;
}

/**
 * The trials of a study for the plots.
 * @param {Study} study
 * @param {string[]} columns names of all columns of its table
 * @returns {Promise<Row[]>} at most MAX_ROWS, the newest ones
 */
export async function readRows(study, columns) {
  const values = objectivesOf(study).map((one) => `values.${one.metric}`);
  const params = columns.filter((one) => one.startsWith("params."));
  const names = ["number", "state", "duration_seconds", "feasible", ...values, ...params];
  const answer = await get(studyPath(study.name, "/table"), { columns: names, order_by: "-number", limit: MAX_ROWS });
  return answer.rows.map((/** @type {any[]} */ row) => {
    const given = params.map((name, index) => [name.slice(7), row[4 + values.length + index]]).filter(([, value]) => value !== null);
    return {
      number: row[0],
      state: row[1],
      duration: row[2],
      feasible: row[3] !== false,
      values: row.slice(4, 4 + values.length).map((value) => (value === null ? null : numeric(value))),
      params: Object.fromEntries(given),
    };
  });
}

/**
 * The numbers of the trials that a filter lets through.
 * @param {string} name
 * @param {string} where
 * @returns {Promise<Set<number>>}
 */
export async function readMatching(name, where) {
  const answer = await get(studyPath(name, "/table"), { columns: ["number"], where, order_by: "-number", limit: MAX_ROWS });
  return new Set(answer.rows.map((/** @type {any[]} */ row) => row[0]));
}

/**
 * A name as a filter takes it: in backquotes if it is no plain word.
 * @param {string} name
 */
export const quoted = (name) => (/^[A-Za-z_][A-Za-z0-9_]*$/.test(name) ? name : `\`${name}\``);
