// How the range of each parameter narrowed from round to round.

import { get, send, studyPath } from "../lib/api.js";
import { fill, h, svg } from "../lib/dom.js";
import { actionButton, ask } from "../lib/dialog.js";
import { moment, numeric, percent, shown } from "../lib/format.js";
import { throttled } from "../lib/live.js";
import { may } from "../lib/session.js";
import { trialAddress } from "../parts/study_header.js";

/** @typedef {import("../parts/study_model.js").StudyModel} StudyModel */

const REFRESH_MS = 3000;
const KEEP_TOP = 5;
const [WIDTH, ROW] = [300, 22];

/**
 * @param {HTMLElement} panel
 * @param {StudyModel} model
 */
export async function showRounds(panel, model) {
  const tools = may("submit") ? narrowTools(model, () => load()) : null; // once, so that what one types stays
  const load = async () => {
    if (tools) tools.hidden = model.study.state !== "running";
    const { rounds } = await get(studyPath(model.name, "/rounds"));
    fill(panel, introOf(model, rounds, tools), rangesOf(rounds), rounds.map((/** @type {any} */ one) => roundCard(model.name, one)));
  };
  await load();
  const again = throttled(() => model.quietly(load), REFRESH_MS);
  model.addEventListener("study", () => panel.isConnected && again());
}

/**
 * @param {StudyModel} model
 * @param {any[]} rounds
 * @param {HTMLElement | null} tools
 */
function introOf(model, rounds, tools) {
  const narrows = model.study.definition.narrowing;
  const text = narrows
    ? "After each round the ranges shrink around the best trials."
    : "This study's definition has no narrowing rounds. A round can still be begun by hand: the ranges shrink around the best trials.";
  return h("section", { class: "card" }, h("h2", null, `Rounds (${rounds.length})`), h("p", { class: "note" }, text),
    tools);
}

/**
 * @param {StudyModel} model
 * @param {() => Promise<void>} load
 */
function narrowTools(model, load) {
  const keep = h("input", { type: "number", min: "1", value: String(model.study.definition.narrowing?.keep_top ?? KEEP_TOP), style: { width: "5rem" } });
  return h("div", { class: "tools" }, h("label", null, "Best trials to keep ", keep), actionButton("Narrow now", () => askNarrow(model, load, Number(keep.value))));
}

/**
 * @param {StudyModel} model
 * @param {() => Promise<void>} load
 * @param {number} keepTop
 */
async function askNarrow(model, load, keepTop) {
  const wanted = { keep_top: keepTop };
  const preview = await send("POST", studyPath(model.name, "/narrow"), { ...wanted, preview: true });
  const done = await ask({
    title: `Begin round ${preview.round}?`,
    body: [h("p", null, "All further trials are sampled from these ranges:"), rangesTable(preview)],
    action: "Begin the round",
    isDanger: true,
    run: () => send("POST", studyPath(model.name, "/narrow"), { ...wanted, round: preview.round }),
  });
  if (done) await load();
}

/**
 * A row of bars for each parameter: its range in each round, as a share of the first.
 * @param {any[]} rounds
 */
function rangesOf(rounds) {
  const names = Object.keys(rounds[0]?.ranges ?? {});
  if (!names.length || rounds.length < 2) return null;
  return h("section", { class: "card" }, h("h2", null, "How the ranges narrowed"), h("div", { class: "ranges" }, names.map((name) => rangeFigure(name, rounds))));
}

/**
 * @param {string} name
 * @param {any[]} rounds
 */
function rangeFigure(name, rounds) {
  const first = rounds[0].ranges[name];
  const to = (/** @type {number} */ value) => (first.log ? Math.log(value) : value);
  const lows = rounds.map((one) => to(one.ranges[name].low));
  const highs = rounds.map((one) => to(one.ranges[name].high));
  const [low, high] = [Math.min(...lows), Math.max(...highs)];
  const x = (/** @type {number} */ value) => ((value - low) / (high - low || 1)) * WIDTH;
  const bars = rounds.map((one, index) => [
    svg("rect", { x: String(x(lows[index])), y: String(index * ROW + 4), width: String(Math.max(2, x(highs[index]) - x(lows[index]))), height: String(ROW - 8), rx: "3", class: "range" },
      svg("title", {}, `round ${one.round}: ${shown(one.ranges[name].low)} to ${shown(one.ranges[name].high)}`)),
  ]);
  const label = `${name}: ${rounds.map((one) => `round ${one.round} ${shown(one.ranges[name].low)} to ${shown(one.ranges[name].high)}`).join(", ")}`;
  return h("figure", null, h("figcaption", null, name, first.log ? h("span", { class: "quiet" }, " log") : null),
    svg("svg", { viewBox: `0 0 ${WIDTH} ${rounds.length * ROW}`, role: "img", "aria-label": label }, bars.flat()),
    h("div", { class: "ends quiet" }, h("span", null, shown(first.log ? Math.exp(low) : low)), h("span", null, shown(first.log ? Math.exp(high) : high))));
}

/** @param {any} round */
function rangesTable(round) {
  const rows = Object.entries(round.ranges).map(([name, range]) => h("tr", null, h("th", { scope: "row", class: "text" }, name), h("td", null, shown(range.low)), h("td", null, shown(range.high)),
    h("td", null, percent(range.share)), h("td", { class: "text" }, range.verdict), h("td", { class: "text" }, range.note)));
  return h("div", { class: "sideways" }, h("table", null, h("thead", null, h("tr", null, ["parameter", "low", "high", "of the first", "", ""].map((one, index) => h("th", { scope: "col", class: index === 0 || index > 3 ? "text" : "" }, one)))), h("tbody", null, rows)));
}

/**
 * @param {string} study
 * @param {any} round
 */
function roundCard(study, round) {
  const kept = round.kept.flatMap((/** @type {number} */ number, /** @type {number} */ index) => [index ? ", " : "", h("a", { href: trialAddress(study, number) }, number)]);
  return h("section", { class: "card" }, h("h3", null, `Round ${round.round}`),
    h("p", { class: "quiet" }, [`${round.n_trials} trials from number ${round.first_trial}`, round.best === null ? "" : `best ${shown(numeric(round.best))}`, moment(round.began_at)].filter(Boolean).join(" · ")),
    round.note && h("p", null, round.note), kept.length > 0 && h("p", null, "Narrowed around trials ", kept), rangesTable(round));
}
