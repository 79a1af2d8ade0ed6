// All trials of a study in rows: sorted and filtered by the service, columns to choose, CSV of what is shown.

import { addressOf, get, reasonOf, studyPath } from "../lib/api.js";
import { fill, h } from "../lib/dom.js";
import { spaceOf } from "../lib/data.js";
import { duration, moment, numeric, shown } from "../lib/format.js";
import { throttled } from "../lib/live.js";
import { stateBadge } from "./progress.js";
import { trialAddress } from "./study_header.js";
import { VirtualTable } from "./virtual_table.js";

/** @typedef {import("./study_model.js").StudyModel} StudyModel */
/** @typedef {import("./virtual_table.js").Column} Column */

const REFRESH_MS = 2000;
const MAX_PARAMS = 6;

/** @param {StudyModel} model */
export function trialsTable(model) {
  let columns = /** @type {Column[]} */ ([]);
  let chosen = /** @type {Set<string>} */ (new Set());
  let order = "-number";
  const query = () => ({ columns: keys(), where: model.where, order_by: order });
  const keys = () => columns.filter((one) => chosen.has(one.key)).map((one) => one.key);
  const problem = h("p", { class: "problem", role: "alert" });
  const table = new VirtualTable({
    label: `Trials of ${model.name}`,
    onOpen: (row) => location.assign(trialAddress(model.name, row.number)),
    onSort: (key) => {
      order = order === key ? `-${key}` : key;
      show();
    },
    fetch: async (offset, limit) => {
      const answer = await get(studyPath(model.name, "/table"), { ...query(), offset, limit });
      const names = keys();
      return { total: answer.total, rows: answer.rows.map((/** @type {any[]} */ row) => Object.fromEntries(names.map((name, index) => [name, row[index]]))) };
    },
  });
  const picker = h("details", { class: "picker" }, h("summary", null, "Columns"));
  const csv = h("a", { class: "button", download: `${model.name}.csv` }, "CSV of these");
  const load = async () => {
    if (!columns.length) return; // they come with the rows
    try {
      await table.refresh();
      fill(problem);
    } catch (error) {
      fill(problem, reasonOf(error));
    }
  };
  const show = () => {
    table.setColumns(columns.filter((one) => chosen.has(one.key)), order);
    csv.setAttribute("href", addressOf(studyPath(model.name, "/table"), { ...query(), format: "csv" }));
    void load();
  };
  const offer = () => {
    if (columns.length === model.columns.length) return false;
    const isFirst = columns.length === 0;
    columns = columnsOf(model);
    if (isFirst) chosen = new Set(defaults(model, columns));
    fill(picker, h("summary", null, "Columns"), h("div", { class: "choices" }, columns.filter((one) => one.key !== "number").map((column) => {
      const box = h("input", { type: "checkbox" });
      box.checked = chosen.has(column.key);
      box.addEventListener("change", () => {
        if (box.checked) chosen.add(column.key);
        else chosen.delete(column.key);
        show();
      });
      return h("label", null, box, ` ${column.title}`);
    })));
    return true;
  };
  const again = throttled(load, REFRESH_MS);
  offer();
  show();
  model.addEventListener("filter", show);
  model.addEventListener("rows", () => {
    if (offer()) show();
    else again();
  });
  return h("div", { class: "trials" }, h("div", { class: "tools" }, picker, csv), problem, table.element);
}

const ORDER = ["duration_seconds", "step", "reason", "worker", "attempts", "started_at", "finished_at"];
const TITLES = /** @type {Record<string, string>} */ ({ number: "trial", duration_seconds: "duration", step: "last epoch", started_at: "started", finished_at: "finished", retry_of: "retry of" });

/**
 * Every column that the table of a study can have, those that one looks at first in front.
 * @param {StudyModel} model
 * @returns {Column[]}
 */
function columnsOf(model) {
  const rank = (/** @type {string} */ key) => {
    const at = ["number", "state"].indexOf(key);
    if (at >= 0) return at;
    const kind = ["values.", "params."].findIndex((one) => key.startsWith(one));
    if (kind >= 0) return 2 + kind;
    return ORDER.includes(key) ? 4 + ORDER.indexOf(key) : 20;
  };
  return [...model.columns].sort((a, b) => rank(a) - rank(b)).map((key) => columnOf(model, key));
}

/**
 * @param {StudyModel} model
 * @param {string} key
 * @returns {Column}
 */
function columnOf(model, key) {
  const [kind, name] = [key.slice(0, key.indexOf(".")), key.slice(key.indexOf(".") + 1)];
  if (key === "number") return { key, title: "trial", show: (value) => h("a", { href: trialAddress(model.name, value), tabindex: "-1" }, value) };
  if (key === "state") return { key, title: "state", isText: true, show: (value) => stateBadge(value) };
  if (key === "duration_seconds") return { key, title: "duration", show: (value) => duration(value) };
  if (key.endsWith("_at") && !kind) return { key, title: TITLES[key], isText: true, show: (value) => moment(value) };
  if (kind === "values") return { key, title: name, show: (value) => (value === null ? "" : shown(numeric(value))) };
  if (kind === "params") return { key, title: name, isText: Array.isArray(spaceOf(model.study)[name]?.choices), show: (value) => shown(value) };
  if (kind === "metrics") return { key, title: `last ${name}`, show: (value) => (value === null ? "" : shown(numeric(value))) };
  return { key, title: TITLES[key] ?? key, isText: !["step", "attempts"].includes(key), show: (value) => shown(value) };
}

/**
 * @param {StudyModel} model
 * @param {Column[]} columns
 */
function defaults(model, columns) {
  const params = columns.filter((one) => one.key.startsWith("params.")).slice(0, MAX_PARAMS);
  const values = columns.filter((one) => one.key.startsWith("values."));
  const rest = ["duration_seconds", "step", ...(model.study.trial_counts.FAIL ? ["reason"] : [])];
  return ["number", "state", ...[...values, ...params].map((one) => one.key), ...rest];
}
