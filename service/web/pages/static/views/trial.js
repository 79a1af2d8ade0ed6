// One trial: its parameters, its curves, who trained it, why it failed, what it wrote, its files.

import { get, send, studyPath } from "../lib/api.js";
import { fill, h } from "../lib/dom.js";
import { ask } from "../lib/dialog.js";
import { objectivesOf, readCurves, readStudy, spaceOf } from "../lib/data.js";
import { duration, moment, numeric, shown } from "../lib/format.js";
import { follow, throttled } from "../lib/live.js";
import { may } from "../lib/session.js";
import { counterpart } from "../parts/curves_panel.js";
import { filesCard } from "../parts/files.js";
import { stateBadge } from "../parts/progress.js";
import { trialAddress } from "../parts/study_header.js";
import { CurvesPlot } from "../plots/curves.js";

/** @typedef {import("../lib/types.js").Study} Study */

const REFRESH_MS = 1000;

/**
 * @param {HTMLElement} main
 * @param {string} name
 * @param {string} number
 */
export async function showTrial(main, name, number) {
  document.title = `Trial ${number} of ${name} · Narrows`;
  const path = studyPath(name, `/trials/${encodeURIComponent(number)}`);
  const study = await readStudy(name);
  const head = h("div", { class: "study-head" });
  const tables = h("div", { class: "grid" });
  const curves = h("section", { class: "card" }, h("h2", null, "Curves"));
  const charts = h("div", { class: "charts" });
  curves.append(charts);
  const files = filesCard(name, Number(number));
  fill(main, head, tables, curves, files.element);

  const plots = /** @type {Map<string, CurvesPlot>} */ (new Map());
  const load = async () => {
    const trial = await get(path);
    fill(head, headOf(study, trial));
    fill(tables, paramsCard(trial), metricsCard(study, trial), attemptsCard(trial), attributesCard(trial));
    await showCurves();
    await files.load(trial.state === "RUNNING");
  };
  const showCurves = async () => {
    const { available } = await readCurves(name, number, []);
    const found = available.length ? await readCurves(name, number, available.slice(0, 8)) : { curves: [] };
    const isReported = (/** @type {string} */ metric) => found.curves.some((one) => one.metrics[metric]?.some((value) => value !== null));
    const reported = available.slice(0, 8).filter(isReported); // others have a value at the end alone
    for (const metric of reported) {
      const beside = counterpart(metric, reported);
      if (beside && /(^|[_./-])train/.test(metric)) continue; // it is drawn beside the validation
      let plot = plots.get(metric);
      if (!plot) {
        plot = new CurvesPlot({ open: () => {}, params: () => ({}), height: 220 });
        plots.set(metric, plot);
        charts.append(plot.element);
      }
      const { direction } = objectivesOf(study)[0];
      plot.show(found.curves.map((one) => ({ ...one, state: "RUNNING", value: null })), { metric, beside, logX: false, logY: false, direction, only: null });
    }
    curves.hidden = plots.size === 0;
    curves.dataset.epochs = String(found.curves[0]?.steps.length ?? 0);
  };
  const again = throttled(async () => {
    try {
      await load();
    } catch (error) {
      console.warn("the trial is not loaded again", error);
    }
  }, REFRESH_MS);
  await follow(name, { onEvents: (events) => events.some((one) => one.trial === Number(number)) && again(), onReload: again }).opened;
  await load();
}

/**
 * @param {Study} study
 * @param {any} trial
 */
function headOf(study, trial) {
  const objectives = objectivesOf(study);
  const values = (trial.values ?? []).map((/** @type {any} */ value, /** @type {number} */ index) => `${objectives[index]?.metric ?? "value"} ${shown(numeric(value))}`);
  const facts = [
    trial.started_at && `started ${moment(trial.started_at)}`,
    trial.finished_at && `ended ${moment(trial.finished_at)}`,
    trial.duration_seconds !== null && `took ${duration(trial.duration_seconds)}`,
    trial.step !== null && `epoch ${trial.step}`,
    trial.worker && `on ${trial.worker}`,
  ].filter(Boolean);
  return [
    h("p", { class: "crumbs" }, h("a", { href: `/studies/${encodeURIComponent(study.name)}` }, study.name)),
    h("div", { class: "heading" }, h("h1", null, `Trial ${trial.number} `, stateBadge(trial.state)),
      h("div", { class: "actions" },
        may("submit") && study.state !== "stopped" && h("button", { type: "button", onclick: () => askEnqueue(study, trial) }, "Enqueue with changes"),
        may("submit") && trial.state === "FAIL" && h("button", { type: "button", onclick: () => askRetry(study, trial) }, "Try again"))),
    values.length > 0 && h("p", { class: "value" }, h("b", null, values.join(", "))),
    h("p", { class: "quiet" }, facts.join(" · ")),
    trial.retry_of !== null && h("p", { class: "quiet" }, "It tries ", h("a", { href: trialAddress(study.name, trial.retry_of) }, `trial ${trial.retry_of}`), " again."),
    trial.paused_at_rung !== null && h("p", { class: "quiet" }, `It is paused at rung ${trial.paused_at_rung}.`),
    trial.violated.length > 0 && h("p", { class: "warning" }, `It breaks: ${trial.violated.join(", ")}`),
    trial.reason && h("pre", { class: "problem reason" }, trial.reason),
  ];
}

/**
 * A table of names and values in a card; null without any.
 * @param {string} title
 * @param {[string, import("../lib/dom.js").Child][]} rows
 */
function pairsCard(title, rows) {
  if (!rows.length) return null;
  return h("section", { class: "card" }, h("h2", null, title), h("table", { class: "pairs" },
    h("tbody", null, rows.map(([name, value]) => h("tr", null, h("th", { scope: "row" }, name), h("td", null, value))))));
}

/** @param {any} trial */
function paramsCard(trial) {
  const unused = Object.entries(trial.unused_params ?? {}).map(([name, value]) => [`${name} (not used)`, shown(value, 8)]);
  return pairsCard("Parameters", /** @type {any} */ ([...Object.entries(trial.params).map(([name, value]) => [name, shown(value, 8)]), ...unused]));
}

/**
 * @param {Study} study
 * @param {any} trial
 */
function metricsCard(study, trial) {
  const ours = objectivesOf(study).map((one) => one.metric);
  const rows = Object.entries(trial.metrics).sort(([a], [b]) => Number(ours.includes(b)) - Number(ours.includes(a)) || a.localeCompare(b));
  const limits = Object.entries(trial.constraints ?? {}).map(([name, value]) => [`beyond ${name}`, shown(numeric(value))]);
  return pairsCard(trial.finished_at ? "Metrics at the end" : "Last metrics", /** @type {any} */ ([...rows.map(([name, value]) => [name, shown(numeric(value))]), ...limits]));
}

/** @param {any} trial */
function attributesCard(trial) {
  return pairsCard("User attributes", Object.entries(trial.user_attrs ?? {}).map(([name, value]) => [name, shown(value)]));
}

/** @param {any} trial */
function attemptsCard(trial) {
  if (!trial.attempts.length) return null;
  const rows = trial.attempts.map((/** @type {any} */ one) => h("tr", null,
    h("td", null, one.attempt), h("td", { class: "text" }, one.worker), h("td", { class: "text" }, moment(one.started_at)), h("td", { class: "text" }, moment(one.ended_at)),
    h("td", { class: "text" }, one.outcome ?? "running"), h("td", { class: "text reason" }, one.reason)));
  const titles = ["attempt", "worker", "from", "to", "outcome", "reason"];
  return h("section", { class: "card wide" }, h("h2", null, `Attempts (${trial.n_attempts})`), h("div", { class: "sideways" },
    h("table", null, h("thead", null, h("tr", null, titles.map((one, index) => h("th", { scope: "col", class: index ? "text" : "" }, one)))), h("tbody", null, rows))));
}

/**
 * @param {Study} study
 * @param {any} trial
 */
async function askEnqueue(study, trial) {
  const space = spaceOf(study);
  let made = /** @type {any} */ (null);
  const fields = Object.entries({ ...trial.params }).map(([name, value]) => {
    const choices = space[name]?.choices;
    const input = Array.isArray(choices)
      ? h("select", { name }, choices.map((/** @type {any} */ one, /** @type {number} */ index) => {
          const option = h("option", { value: String(index) }, shown(one));
          option.selected = one === value;
          return option;
        }))
      : h("input", { name, type: "text", inputmode: "decimal", value: String(value) });
    return h("label", null, name, input);
  });
  const done = await ask({
    title: "Enqueue with changes",
    body: [h("p", { class: "quiet" }, "The trial that is made trains next. Leave a field empty to have it sampled."), h("div", { class: "fields" }, fields)],
    action: "Enqueue",
    run: async (form) => {
      const given = [...form.entries()].filter(([, text]) => text !== "").map(([name, text]) => {
        const choices = space[name]?.choices;
        return [name, Array.isArray(choices) ? choices[Number(text)] : numberOr(String(text))];
      });
      made = await send("POST", studyPath(study.name, "/trials"), { params: Object.fromEntries(given) });
    },
  });
  if (done) location.assign(trialAddress(study.name, made.number));
}

/** @param {string} text */
const numberOr = (text) => (text.trim() !== "" && Number.isFinite(Number(text)) ? Number(text) : text);

/**
 * @param {Study} study
 * @param {any} trial
 */
async function askRetry(study, trial) {
  let made = /** @type {any} */ (null);
  const done = await ask({
    title: `Try trial ${trial.number} again?`,
    body: [h("p", null, "A new trial gets the same parameters, and the study one trial more.")],
    action: "Try again",
    run: async () => void (made = await send("POST", studyPath(study.name, `/trials/${trial.number}/retry`))),
  });
  if (done) location.assign(trialAddress(study.name, made.number));
}
