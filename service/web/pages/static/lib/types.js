// The shapes that several modules share; types only.

/** @typedef {"WAITING" | "RUNNING" | "COMPLETE" | "PRUNED" | "FAIL"} TrialState */
/** @typedef {{metric: string, direction: "maximize" | "minimize"}} Objective */

/**
 * @typedef {object} Study as the API answers it; see its reference for all fields
 * @property {string} name
 * @property {string | null} final_of
 * @property {"running" | "paused" | "stopped" | "finished"} state
 * @property {string | null} state_reason
 * @property {any} definition
 * @property {Record<TrialState, number>} trial_counts
 * @property {any} best
 * @property {string} created_at
 * @property {string | null} started_at
 * @property {string | null} finished_at
 * @property {string | null} finished_reason
 * @property {string | null} waits_for
 * @property {string | null} sampler_note
 * @property {string | null} data
 * @property {number | null} trials_per_hour
 * @property {number | null} epochs_trained
 * @property {number | null} device_hours
 * @property {number} n_imported
 * @property {(number | null)[] | null} [history]
 */

/**
 * @typedef {object} Row one trial in the plots
 * @property {number} number
 * @property {TrialState} state
 * @property {(number | null)[]} values one for each objective
 * @property {Record<string, any>} params
 * @property {number | null} duration seconds
 * @property {boolean} feasible whether it keeps the constraints
 */

/**
 * @typedef {object} Curve the learning curve of one trial
 * @property {number} number
 * @property {TrialState} state
 * @property {number | null} value the first objective
 * @property {number[]} steps
 * @property {Record<string, (number | null)[]>} metrics one value for each step
 */

export {};
