// The head of a study's page: state, counts, time left, and what one may do with the study.

import { send, studyPath } from "../lib/api.js";
import { fill, h } from "../lib/dom.js";
import { actionButton, ask } from "../lib/dialog.js";
import { objectivesOf } from "../lib/data.js";
import { counted, duration, moment, numeric, shown } from "../lib/format.js";
import { may } from "../lib/session.js";
import { countsBar, etaSeconds, nEnded, STATES, stateBadge, trialsOf } from "./progress.js";

/** @typedef {import("../lib/types.js").Study} Study */
/** @typedef {import("./study_model.js").StudyModel} StudyModel */

/** @param {StudyModel} model */
export function studyHeader(model) {
  const state = h("span", null);
  const actions = h("div", { class: "actions" });
  const tiles = h("div", { class: "tiles" });
  const bar = h("div", null);
  const notes = h("div", { class: "notes", role: "status" });
  let shownState = "";
  model.on(["study"], () => {
    const { study } = model;
    fill(state, stateBadge(study.state));
    fill(bar, countsBar(study), legend(study));
    fill(tiles, tilesOf(study));
    fill(notes, notesOf(study));
    const key = `${study.state} ${study.final_of}`;
    if (key !== shownState) fill(actions, buttonsOf(model)); // a button that is being pressed stays what it is
    shownState = key;
  });
  model.addEventListener("deleted", () => {
    fill(actions);
    fill(notes, h("p", { class: "warning" }, "This study was deleted. ", h("a", { href: "/" }, "All studies")));
  });
  return h("div", { class: "study-head" },
    h("div", { class: "heading" }, h("h1", null, model.name, " ", state), actions), notes, bar, tiles);
}

/** @param {Study} study */
function tilesOf(study) {
  const objectives = objectivesOf(study);
  const eta = etaSeconds(study);
  const best = study.best;
  const tiles = [
    best
      ? [shown(numeric(best.values[0])), `best ${objectives[0].metric}`, h("a", { href: trialAddress(study.name, best.number) }, `trial ${best.number}`)]
      : ["–", objectives.map((one) => `${one.direction} ${one.metric}`).join(", "), null],
    [`${nEnded(study)} of ${trialsOf(study)}`, "trials ended", study.n_imported ? `${study.n_imported} imported` : null],
    [study.trials_per_hour === null ? "–" : shown(study.trials_per_hour, 3), "trials per hour", null],
    study.state === "finished" || study.state === "stopped"
      ? [study.started_at && study.finished_at ? duration(secondsBetween(study.started_at, study.finished_at)) : "–", "from the first trial to the end", study.finished_at ? `ended ${moment(study.finished_at)}` : null]
      : [eta === null ? "–" : duration(eta), "left at this speed", study.started_at ? `started ${moment(study.started_at)}` : "not started yet"],
  ];
  const { max_total_epochs: maxEpochs, max_device_hours: maxHours } = study.definition;
  if (study.epochs_trained !== null) tiles.push([`${study.epochs_trained.toLocaleString()} of ${maxEpochs.toLocaleString()}`, "epochs trained", null]);
  if (study.device_hours !== null) tiles.push([`${shown(study.device_hours, 4)} of ${shown(maxHours, 4)}`, "device hours used", null]);
  return tiles.map(([value, text, more]) => h("div", { class: "tile" }, h("b", null, value), h("span", null, text), more ? h("span", null, more) : null));
}

/** @param {Study} study */
function legend(study) {
  return h("p", { class: "legend" }, STATES.map(([key, name]) => h("span", null, h("i", { class: `dot ${name}` }), `${study.trial_counts[key].toLocaleString()} ${name}`)));
}

/** @param {Study} study */
function notesOf(study) {
  return [
    study.final_of ? h("p", { class: "quiet" }, "The trials of the final evaluation of ", h("a", { href: `/studies/${encodeURIComponent(study.final_of)}` }, study.final_of), ".") : null,
    study.waits_for ? h("p", { class: "warning" }, `It waits: ${study.waits_for}`) : null,
    study.state_reason && study.state !== "running" ? h("p", { class: study.state === "paused" ? "warning" : "quiet" }, `${study.state}: ${study.state_reason}`) : null,
    study.sampler_note ? h("p", { class: "quiet" }, study.sampler_note) : null,
    study.data ? h("p", { class: "quiet" }, `Data: ${study.data}`) : null,
  ];
}

/** @param {StudyModel} model */
function buttonsOf(model) {
  const { name, study } = model;
  const change = (/** @type {object} */ wanted) => async () => {
    model.study = await send("PATCH", studyPath(name), wanted);
    model.tell("study");
  };
  const ended = study.state === "finished" || study.state === "stopped";
  return [
    may("submit") && study.state === "running" && actionButton("Pause", change({ state: "paused" })),
    may("submit") && study.state === "paused" && actionButton("Resume", change({ state: "running" }), "primary"),
    may("submit") && !study.final_of && h("button", { type: "button", onclick: () => askExtend(model, change) }, "Extend"),
    may("submit") && !ended && h("button", { type: "button", onclick: () => askStop(model, change) }, "Stop"),
    may("admin") && !study.final_of && h("button", { type: "button", class: "danger", onclick: () => askDelete(model) }, "Delete"),
  ];
}

/**
 * @param {StudyModel} model
 * @param {(wanted: object) => () => Promise<void>} change
 */
function askExtend(model, change) {
  const now = trialsOf(model.study);
  const input = h("input", { type: "number", name: "n", min: String(now + 1), max: "1000000", required: true, value: String(now + Math.max(10, Math.round(now / 2))) });
  return ask({
    title: `Extend ${model.name}`,
    body: [h("label", null, `Number of trials in all, now ${now}`, input)],
    action: "Extend",
    run: (form) => change({ n_trials: Number(form.get("n")) })(),
  });
}

/**
 * @param {StudyModel} model
 * @param {(wanted: object) => () => Promise<void>} change
 */
function askStop(model, change) {
  return ask({
    title: `Stop ${model.name}?`,
    body: [h("p", null, `Its ${counted(model.study.trial_counts.RUNNING, "running trial")} will end and no other one will start. A stopped study does not go on; pause it to go on later.`)],
    action: "Stop the study",
    isDanger: true,
    run: change({ state: "stopped" }),
  });
}

/** @param {StudyModel} model */
async function askDelete(model) {
  const typed = h("input", { name: "name", autocomplete: "off", required: true, "aria-label": "Name of the study" });
  const done = await ask({
    title: `Delete ${model.name}?`,
    body: [h("p", null, "Its trials, curves, files and final evaluations are deleted with it. This cannot be undone."), h("label", null, "Type the study's name", typed)],
    action: "Delete for good",
    isDanger: true,
    run: (form) => {
      if (form.get("name") !== model.name) throw `the name is ${model.name}, not ${form.get("name")}`;
      return send("DELETE", studyPath(model.name));
    },
  });
  if (done) location.assign("/");
}

/**
 * @param {string} from
 * @param {string} to
 */
const secondsBetween = (from, to) => (new Date(to).getTime() - new Date(from).getTime()) / 1000;

/**
 * @param {string} study
 * @param {number} number
 */
export const trialAddress = (study, number) => `/studies/${encodeURIComponent(study)}/trials/${number}`;
