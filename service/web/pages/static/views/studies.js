// All studies: how far each is, how good, how fast; search, sort, filter by state, choose some to compare.

import { fill, h, unlessPressed } from "../lib/dom.js";
import { objectivesOf, readStudies } from "../lib/data.js";
import { follow, throttled } from "../lib/live.js";
import { ago, counted, duration, numeric, shown } from "../lib/format.js";
import { may } from "../lib/session.js";
import { countsBar, etaSeconds, nEnded, stateBadge, trialsOf } from "../parts/progress.js";
import { sparkline } from "../plots/spark.js";

/** @typedef {import("../lib/types.js").Study} Study */

const SORTS = /** @type {Record<string, [string, (a: Study, b: Study) => number]>} */ ({
  newest: ["newest first", (a, b) => b.created_at.localeCompare(a.created_at)],
  name: ["by name", (a, b) => a.name.localeCompare(b.name)],
  progress: ["least done first", (a, b) => share(a) - share(b)],
  speed: ["fastest first", (a, b) => (b.trials_per_hour ?? 0) - (a.trials_per_hour ?? 0)],
});
const STATES = ["running", "paused", "stopped", "finished"];
const REFRESH_MS = 1500;

/** @param {Study} study */
const share = (study) => nEnded(study) / Math.max(1, trialsOf(study));

/** @param {HTMLElement} main */
export async function showStudies(main) {
  document.title = "Studies · Narrows";
  const chosen = /** @type {Set<string>} */ (new Set());
  let studies = /** @type {Study[]} */ ([]);

  const search = h("input", { type: "search", placeholder: "Search studies", "aria-label": "Search studies", oninput: () => render() });
  const sort = h("select", { "aria-label": "Sort", onchange: () => render() }, Object.entries(SORTS).map(([key, [text]]) => h("option", { value: key }, text)));
  const state = h("select", { "aria-label": "Filter by state", onchange: () => render() }, h("option", { value: "" }, "all states"), STATES.map((one) => h("option", null, one)));
  const withFinals = h("input", { type: "checkbox", onchange: () => render() });
  const compare = h("a", { class: "button", href: "/compare", hidden: true }, "Compare");
  const list = h("div", { class: "studies", role: "list" });
  const status = h("p", { class: "quiet", role: "status" });
  fill(main,
    h("div", { class: "heading" }, h("h1", null, "Studies"), may("submit") && h("a", { class: "button primary", href: "/new" }, "New study")),
    h("div", { class: "tools" }, search, state, sort, h("label", null, withFinals, " final evaluations"), compare),
    status, list);

  const render = () => {
    const wanted = search.value.toLowerCase();
    const found = studies.filter((one) => one.name.toLowerCase().includes(wanted) && (!state.value || one.state === state.value) && (withFinals.checked || !one.final_of));
    found.sort(SORTS[sort.value][1]);
    const hasFocus = document.activeElement?.closest("[data-study]")?.getAttribute("data-study");
    fill(list, found.map((one) => studyCard(one, chosen, showCompareLink)));
    if (hasFocus) /** @type {HTMLElement | null} */ (list.querySelector(`[data-study="${CSS.escape(hasFocus)}"] input`))?.focus();
    if (studies.length) fill(status, `${found.length} of ${counted(studies.length, "study").replace("studys", "studies")}`);
    else fill(status, "No study yet. ", may("submit") ? h("a", { href: "/new" }, "Create the first one.") : "narrows submit FILE creates one.");
  };
  const showCompareLink = () => {
    compare.hidden = chosen.size < 2;
    compare.textContent = `Compare ${chosen.size} studies`;
    compare.setAttribute("href", `/compare?${new URLSearchParams([...chosen].map((name) => ["study", name]))}`);
  };
  const load = async () => {
    studies = await readStudies();
    unlessPressed(list, render);
  };
  const again = throttled(async () => {
    try {
      await load();
    } catch (error) {
      console.warn("the studies are not loaded again", error); // the banner says that the connection is lost
    }
  }, REFRESH_MS);
  await follow(null, {
    onEvents: (events) => events.some((one) => one.type !== "trial_reported") && again(),
    onReload: again,
  }).opened;
  await load();
}

/**
 * @param {Study} study
 * @param {Set<string>} chosen
 * @param {() => void} onChoice
 */
function studyCard(study, chosen, onChoice) {
  const objectives = objectivesOf(study);
  const box = h("input", { type: "checkbox", "aria-label": `Choose ${study.name} to compare` });
  box.checked = chosen.has(study.name);
  box.addEventListener("change", () => {
    if (box.checked) chosen.add(study.name);
    else chosen.delete(study.name);
    onChoice();
  });
  const eta = etaSeconds(study);
  const best = study.best ? objectives.map((one, index) => `${one.metric} ${shown(numeric(study.best.values[index]))}`).join(", ") : "";
  const reason = study.waits_for ?? (study.state === "running" ? null : study.state_reason);
  return h("div", { class: "card study", role: "listitem", "data-study": study.name },
    h("div", { class: "name" }, box, h("a", { href: `/studies/${encodeURIComponent(study.name)}` }, study.name), stateBadge(study.state)),
    h("div", { class: "best" }, best ? h("b", null, best) : h("span", { class: "quiet" }, objectives.map((one) => `${one.direction} ${one.metric}`).join(", "))),
    h("div", { class: "line" }, sparkline((study.history ?? []).map((one) => (one === null ? null : numeric(one))))),
    h("div", { class: "done" }, countsBar(study)),
    h("div", { class: "facts quiet" },
      h("span", null, `${nEnded(study)} of ${counted(trialsOf(study), "trial")}`),
      study.trial_counts.RUNNING > 0 && h("span", null, `${study.trial_counts.RUNNING} running`),
      study.trial_counts.FAIL > 0 && h("span", { class: "bad" }, `${study.trial_counts.FAIL} failed`),
      study.trials_per_hour !== null && h("span", null, `${shown(study.trials_per_hour, 3)} trials/h`),
      eta !== null && h("span", null, `${duration(eta)} left`),
      h("span", null, `created ${ago(study.created_at)}`)),
    reason && h("p", { class: study.waits_for ? "warning" : "quiet reason" }, reason));
}
