// One study as a page knows it: loaded once, then kept true by the events of its trials.

import { objectivesOf, readColumns, readCurves, readMatching, readProgress, readRows, readStudy } from "../lib/data.js";
import { numeric } from "../lib/format.js";
import { follow, throttled } from "../lib/live.js";

/** @typedef {import("../lib/types.js").Study} Study */
/** @typedef {import("../lib/types.js").Row} Row */
/** @typedef {import("../lib/types.js").Curve} Curve */
/** @typedef {import("../lib/types.js").TrialState} TrialState */
/** @typedef {import("../lib/live.js").LiveEvent} LiveEvent */
/** @typedef {"study" | "rows" | "curves" | "progress" | "filter" | "deleted"} Part */

const MAX_CURVES = 500;
const STUDY_MS = 1000;
const PROGRESS_MS = 3000;
const ENDS = /** @type {Record<string, TrialState>} */ ({ trial_completed: "COMPLETE", trial_pruned: "PRUNED", trial_failed: "FAIL" });

export class StudyModel extends EventTarget {
  /** @param {string} name */
  constructor(name) {
    super();
    this.name = name;
    this.study = /** @type {Study} */ (/** @type {unknown} */ (null));
    this.rows = /** @type {Map<number, Row>} */ (new Map());
    this.curves = /** @type {Map<number, Curve>} */ (new Map());
    this.metrics = /** @type {string[]} the ones whose curves are here */ ([]);
    this.available = /** @type {string[]} every reported metric */ ([]);
    this.columns = /** @type {string[]} of the table of its trials */ ([]);
    this.progress = /** @type {import("../lib/data.js").Progress | null} */ (null);
    this.where = "";
    this.matching = /** @type {Set<number> | null} trials that the filter lets through; null without a filter */ (null);
    this.loaded = /** @type {Set<Part>} */ (new Set());
    this.ready = /** @type {Promise<void>} settles when all of it has been loaded once */ (Promise.resolve());
    this.nLoading = 0;
    this.held = /** @type {LiveEvent[]} events that wait for what is being loaded */ ([]);
    this.refreshStudy = throttled(() => this.quietly(() => this.loadStudy()), STUDY_MS);
    this.refreshProgress = throttled(() => this.quietly(() => this.loadProgress()), PROGRESS_MS);
    this.refreshFilter = throttled(() => this.quietly(() => this.loadMatching()), PROGRESS_MS);
  }

  /** Load what the head of its page shows. Raises ApiError for a study that there is not. */
  async start() {
    this.study = await readStudy(this.name);
  }

  /** Load the rest, which `ready` waits for, and follow the events. */
  load() {
    this.ready = this.loadAll();
  }

  async loadAll() {
    const { opened } = follow(this.name, { onEvents: (events) => this.apply(events), onReload: () => void this.quietly(() => this.reload()) });
    await opened;
    await Promise.all([this.loadRows(), this.loadCurves([objectivesOf(this.study)[0].metric]), this.loadProgress()]);
  }

  /**
   * Load something, and only then apply the events that come meanwhile: the answer may lack them.
   * @param {() => Promise<void>} work
   */
  async holding(work) {
    this.nLoading += 1;
    try {
      await work();
    } finally {
      this.nLoading -= 1;
      if (!this.nLoading) this.apply(this.held.splice(0));
    }
  }

  async reload() {
    await this.loadStudy();
    await Promise.all([this.loadRows(), this.loadCurves(this.metrics), this.loadProgress(), this.loadMatching()]);
  }

  /**
   * Do what an event asks for. A failure is only noted: the banner says when the connection is lost.
   * @param {() => Promise<void>} work
   */
  async quietly(work) {
    try {
      await work();
    } catch (error) {
      console.warn(`study ${this.name} is not loaded again`, error);
    }
  }

  async loadStudy() {
    this.study = await readStudy(this.name);
    this.tell("study");
  }

  async loadRows() {
    await this.holding(async () => {
      this.columns = await readColumns(this.name);
      const rows = await readRows(this.study, this.columns);
      this.rows = new Map(rows.map((row) => [row.number, row]));
    });
    this.tell("rows");
  }

  async loadProgress() {
    this.progress = await readProgress(this.name);
    this.tell("progress");
  }

  /** @param {string[]} metrics */
  async loadCurves(metrics) {
    this.metrics = metrics;
    await this.holding(async () => {
      const [best, running] = await Promise.all([readCurves(this.name, `best:${MAX_CURVES}`, metrics), readCurves(this.name, "running", metrics)]);
      if (metrics !== this.metrics) return; // others were asked for meanwhile
      this.curves = new Map([...best.curves, ...running.curves].map((one) => [one.number, one]));
      this.available = [...new Set([...best.available, ...running.available, ...metrics])].sort();
    });
    this.tell("curves");
  }

  /**
   * Show only the trials that a filter lets through. Raises ApiError for a filter with a mistake.
   * @param {string} where empty for all
   */
  async filter(where) {
    this.matching = where ? await readMatching(this.name, where) : null;
    this.where = where;
    this.tell("filter");
  }

  async loadMatching() {
    if (this.where) await this.filter(this.where);
  }

  /** @param {LiveEvent[]} events */
  apply(events) {
    if (this.nLoading) return void this.held.push(...events);
    const changed = /** @type {Set<Part>} */ (new Set());
    for (const event of events) {
      if (event.type === "study_deleted") this.tell("deleted");
      else if (event.type === "trial_reported") changed.add(this.addReport(event) ? "curves" : "study");
      else {
        if (event.trial !== undefined) this.changeRow(event);
        changed.add("rows");
      }
    }
    if (changed.has("rows")) {
      this.refreshStudy();
      this.refreshProgress();
      if (this.where) this.refreshFilter();
      this.tell("rows");
      this.tell("curves");
    } else if (changed.has("curves")) this.tell("curves");
  }

  /**
   * @param {LiveEvent} event
   * @returns {boolean} whether a curve that is here has grown
   */
  addReport(event) {
    const number = Number(event.trial);
    const step = Number(event.step);
    let curve = this.curves.get(number);
    if (!curve) {
      curve = { number, state: "RUNNING", value: null, steps: [], metrics: {} };
      for (const metric of this.metrics) curve.metrics[metric] = [];
      this.curves.set(number, curve);
      this.forgetOld();
    }
    const last = curve.steps[curve.steps.length - 1];
    if (last !== undefined && last >= step) this.cut(curve, step); // another attempt goes on from an earlier epoch
    curve.steps.push(step);
    for (const metric of this.metrics) {
      const value = event.metrics?.[metric];
      (curve.metrics[metric] ??= []).push(value === undefined ? null : numeric(value));
    }
    const more = Object.keys(event.metrics ?? {}).filter((name) => !this.available.includes(name));
    if (more.length) this.available = [...this.available, ...more].sort();
    return true;
  }

  /**
   * @param {Curve} curve
   * @param {number} step
   */
  cut(curve, step) {
    const kept = curve.steps.filter((one) => one < step).length;
    curve.steps.length = kept;
    for (const values of Object.values(curve.metrics)) values.length = Math.min(kept, values.length);
  }

  /** A page that is open for days does not keep every curve that it has seen: pruned ones go first. */
  forgetOld() {
    if (this.curves.size <= 2 * MAX_CURVES) return;
    const ended = [...this.curves.values()].filter((one) => one.state !== "RUNNING" && one.state !== "COMPLETE");
    for (const one of ended.slice(0, this.curves.size - 2 * MAX_CURVES)) this.curves.delete(one.number);
  }

  /** @param {LiveEvent} event */
  changeRow(event) {
    const number = Number(event.trial);
    const row = this.rows.get(number) ?? { number, state: "WAITING", values: [], params: {}, duration: null, feasible: true };
    this.rows.set(number, row);
    if (event.params) row.params = { ...row.params, ...event.params };
    if (event.type === "trial_started") row.state = "RUNNING";
    if (["trial_requeued", "trial_released", "trial_paused"].includes(event.type)) row.state = "WAITING";
    if (event.type in ENDS) row.state = ENDS[event.type];
    if (event.values) row.values = event.values.map(numeric);
    const curve = this.curves.get(number);
    if (!curve) return;
    curve.state = row.state;
    curve.value = row.values[0] ?? null;
  }

  /** @param {Part} part */
  tell(part) {
    this.loaded.add(part);
    this.dispatchEvent(new Event(part));
  }

  /**
   * Call a function now and whenever one of some parts has changed.
   * @param {Part[]} parts
   * @param {() => void} work
   */
  on(parts, work) {
    for (const part of parts) this.addEventListener(part, work);
    work();
  }
}
