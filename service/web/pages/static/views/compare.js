// Several studies beside each other: best so far, and what differs in their definitions.

import { fill, h } from "../lib/dom.js";
import { objectivesOf, readProgress, readStudy } from "../lib/data.js";
import { numeric, shown } from "../lib/format.js";
import { throttled, follow } from "../lib/live.js";
import { BASES, lineOf } from "../parts/best_panel.js";
import { nEnded, stateBadge, trialsOf } from "../parts/progress.js";
import { LINE_COLOURS, StepsPlot } from "../plots/steps.js";

/** @typedef {import("../lib/types.js").Study} Study */
/** @typedef {import("../lib/data.js").Progress} Progress */

const REFRESH_MS = 3000;
const MAX_STUDIES = LINE_COLOURS.length;

/** @param {HTMLElement} main */
export async function showCompare(main) {
  document.title = "Comparison · Narrows";
  const names = [...new Set(new URLSearchParams(location.search).getAll("study"))].slice(0, MAX_STUDIES);
  if (!names.length) return void fill(main, h("h1", null, "Comparison"), h("p", null, "Choose studies in ", h("a", { href: "/" }, "the list of studies"), "."));
  const plots = h("div", { class: "grid" });
  const table = h("section", { class: "card" });
  const legend = h("p", { class: "legend" });
  fill(main, h("h1", null, "Comparison"), legend, plots, table);
  const drawn = Object.keys(BASES).map((base) => {
    const plot = new StepsPlot({ label: `Best so far by ${base}`, height: 300 });
    plots.append(h("section", { class: "card" }, h("h2", null, `Best by ${base}`), plot.element));
    return { base, plot };
  });
  const load = async () => {
    const studies = await Promise.all(names.map(readStudy));
    const progress = await Promise.all(names.map(readProgress));
    const metrics = [...new Set(studies.map((one) => objectivesOf(one)[0].metric))];
    fill(legend, studies.map((one, index) => h("span", null, h("i", { class: "dot", style: { background: LINE_COLOURS[index] } }), h("a", { href: `/studies/${encodeURIComponent(one.name)}` }, one.name))),
      metrics.length > 1 && h("span", { class: "warning" }, "The objectives differ, so that the lines cannot be compared."));
    for (const { base, plot } of drawn) {
      const lines = names.map((name, index) => lineOf(name, progress[index], 0, base));
      plot.show(lines, { x: BASES[base].label, y: metrics.join(", "), isTime: base === "time" });
    }
    fill(table, h("h2", null, "What differs"), differencesTable(studies));
  };
  const again = throttled(async () => {
    try {
      await load();
    } catch (error) {
      console.warn("the comparison is not loaded again", error);
    }
  }, REFRESH_MS);
  await follow(null, { onEvents: (events) => events.some((one) => one.type !== "trial_reported" && names.includes(one.study)) && again(), onReload: again }).opened;
  await load();
}

/** @param {Study[]} studies */
function differencesTable(studies) {
  const flat = studies.map((one) => flattened({ ...one.definition, name: undefined }));
  const keys = [...new Set(flat.flatMap((one) => Object.keys(one)))].filter((key) => new Set(flat.map((one) => one[key])).size > 1).sort();
  const row = (/** @type {string} */ title, /** @type {import("../lib/dom.js").Child[]} */ cells) => h("tr", null, h("th", { scope: "row", class: "text" }, title), cells.map((cell) => h("td", { class: "text" }, cell)));
  return h("div", { class: "sideways" }, h("table", null,
    h("thead", null, h("tr", null, h("th", { scope: "col", class: "text" }, ""), studies.map((one) => h("th", { scope: "col", class: "text" }, one.name)))),
    h("tbody", null,
      row("state", studies.map((one) => stateBadge(one.state))),
      row("best", studies.map((one) => (one.best ? shown(numeric(one.best.values[0])) : ""))),
      row("trials", studies.map((one) => `${nEnded(one)} of ${trialsOf(one)}`)),
      row("trials per hour", studies.map((one) => shown(one.trials_per_hour, 3))),
      keys.map((key) => row(key, flat.map((one) => one[key] ?? "–"))),
      keys.length === 0 && row("definition", studies.map(() => "the same")))));
}

/**
 * The leaves of an object by their paths, as text.
 * @param {any} value
 * @param {string} [path]
 * @returns {Record<string, string>}
 */
function flattened(value, path = "") {
  if (value === undefined) return {};
  if (value === null || typeof value !== "object" || Array.isArray(value)) return { [path]: shown(value) };
  return Object.assign({}, ...Object.entries(value).map(([key, one]) => flattened(one, path ? `${path}.${key}` : key)));
}
