// Who trains: hosts, devices, what each does now, when it was last heard of.

import { getAll } from "../lib/api.js";
import { fill, h } from "../lib/dom.js";
import { ago, counted, moment, percent } from "../lib/format.js";
import { trialAddress } from "../parts/study_header.js";

const AGAIN_MS = 3000;
const GONE_SECONDS = 300;
const MAX_TRIALS = 20;

/** @param {HTMLElement} main */
export async function showWorkers(main) {
  document.title = "Workers · Narrows";
  const present = h("div", { class: "card sideways" });
  const gone = h("div", { class: "card sideways" });
  const folded = h("details", { hidden: true }, h("summary", null), gone);
  const status = h("p", { class: "quiet", role: "status" });
  fill(main, h("h1", null, "Workers"), status, present, folded);
  const load = async () => {
    const workers = await getAll("/v1/workers", "workers");
    const isGone = (/** @type {any} */ one) => !one.trials_running && (Date.now() - new Date(one.last_seen_at).getTime()) / 1000 > GONE_SECONDS;
    const here = workers.filter((one) => !isGone(one));
    const away = workers.filter(isGone);
    const nTrials = here.reduce((sum, one) => sum + one.trials_running, 0);
    fill(status, here.length ? `${counted(here.length, "worker")}, ${counted(nTrials, "trial")} in training` : "No worker is here. Start one with: narrows worker --server ", !here.length && h("code", null, location.origin));
    present.hidden = !here.length;
    fill(present, tableOf(here));
    folded.hidden = !away.length;
    fill(/** @type {Element} */ (folded.firstElementChild), `${counted(away.length, "worker")} not heard of for more than 5 minutes`);
    fill(gone, tableOf(away));
  };
  await load();
  window.setInterval(() => !document.hidden && load().catch((error) => console.warn("the workers are not loaded again", error)), AGAIN_MS);
}

/** @param {any[]} workers */
function tableOf(workers) {
  const titles = ["worker", "host", "device", "narrows", "torch", "lanes", "trains now", "time training", "last seen"];
  return h("table", null, h("thead", null, h("tr", null, titles.map((one) => h("th", { scope: "col", class: "text" }, one)))),
    h("tbody", null, workers.map((one) => h("tr", null,
      h("td", { class: "text" }, one.id), h("td", { class: "text" }, one.host), h("td", { class: "text" }, one.device),
      [one.narrows_version, one.torch_version].map((version) => h("td", { class: version ? "text" : "text quiet" }, version ?? "unknown")), h("td", { class: "text" }, one.n_lanes),
      h("td", { class: "text" }, one.trials.length ? one.trials.slice(0, MAX_TRIALS).map(trialLink) : "", one.trials_running > MAX_TRIALS || !one.trials.length ? counted(one.trials_running, "trial") : ""),
      h("td", { class: "text" }, timeShare(one.seconds)),
      h("td", { class: "text", title: moment(one.last_seen_at) }, ago(one.last_seen_at))))));
}

/** @param {{study: string, number: number}} trial */
const trialLink = ({ study, number }) => h("a", { class: "chip", href: trialAddress(study, number) }, `${study} ${number}`);

/** @param {Record<string, number> | null | undefined} seconds what the worker spent its time on */
function timeShare(seconds) {
  if (!seconds) return "";
  const spent = Object.entries(seconds).filter(([name]) => !name.endsWith("_lanes"));
  const total = spent.reduce((sum, [, one]) => sum + one, 0);
  if (!total) return "";
  const text = spent.filter(([, one]) => one > 0).map(([name, one]) => `${name} ${percent(one / total)}`).join(", ");
  return h("span", { title: text }, h("meter", { min: "0", max: "1", value: (seconds.training ?? 0) / total, "aria-label": text }), ` ${percent((seconds.training ?? 0) / total)}`);
}

