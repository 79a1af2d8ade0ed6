// The page of one study: its header, and a tab for each thing that one may want to know.

import { fill, h } from "../lib/dom.js";
import { StudyModel } from "../parts/study_model.js";
import { studyHeader } from "../parts/study_header.js";
import { showAnalysis } from "./analysis.js";
import { showDefinition } from "./definition.js";
import { showDiagnosis } from "./diagnosis.js";
import { showFinal } from "./final.js";
import { showOverview } from "./overview.js";
import { showRounds } from "./rounds.js";

/** @typedef {(panel: HTMLElement, model: StudyModel) => void | Promise<void>} Tab */

const TABS = /** @type {Record<string, [string, Tab]>} */ ({
  overview: ["Overview", showOverview],
  analysis: ["Parameters", showAnalysis],
  diagnosis: ["Diagnosis", showDiagnosis],
  rounds: ["Rounds", showRounds],
  final: ["Final evaluation", showFinal],
  definition: ["Definition", showDefinition],
});

/**
 * @param {HTMLElement} main
 * @param {string} name
 */
export async function showStudy(main, name) {
  document.title = `${name} · Narrows`;
  const model = new StudyModel(name);
  await model.start();
  model.load(); // the head, and each part as it comes, do not wait for ten thousand trials
  const tabs = h("div", { role: "tablist", class: "tabs", "aria-label": "Parts of the study" });
  const panel = h("div", { role: "tabpanel", tabindex: "0" });
  fill(main, studyHeader(model), tabs, panel);
  const opened = /** @type {Map<string, HTMLElement>} */ (new Map());

  const show = async () => {
    const key = Object.hasOwn(TABS, location.hash.slice(1)) ? location.hash.slice(1) : "overview";
    for (const link of tabs.children) {
      const isThis = link.getAttribute("href") === `#${key}`;
      link.setAttribute("aria-selected", String(isThis));
      link.setAttribute("tabindex", isThis ? "0" : "-1");
    }
    const isNew = !opened.has(key);
    const content = opened.get(key) ?? h("div", null);
    opened.set(key, content);
    fill(panel, content);
    panel.setAttribute("aria-label", TABS[key][0]);
    if (key !== "overview") await model.ready;
    if (isNew) await TABS[key][1](content, model);
  };
  for (const [key, [text]] of Object.entries(TABS)) tabs.append(h("a", { role: "tab", href: `#${key}` }, text));
  tabs.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const all = /** @type {HTMLElement[]} */ ([...tabs.children]);
    const at = all.indexOf(/** @type {HTMLElement} */ (document.activeElement));
    const next = all[(at + step + all.length) % all.length];
    next.focus();
    next.click();
  });
  window.addEventListener("hashchange", () => void show());
  await Promise.all([show(), model.ready]);
}
