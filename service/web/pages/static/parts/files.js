// The files of a trial, and its output as it is written.

import { call, get, studyPath } from "../lib/api.js";
import { fill, h, printable } from "../lib/dom.js";
import { ago, size } from "../lib/format.js";

const OUTPUT = "output";
const AGAIN_MS = 3000;

/**
 * The files with the output of an attempt, the last attempt first.
 * @param {any[]} artifacts
 */
const outputsOf = (artifacts) => artifacts.filter((one) => one.name === OUTPUT || one.name === `${OUTPUT}-${one.attempt}`).sort((a, b) => b.attempt - a.attempt);

/**
 * @param {string} study
 * @param {number} number
 */
export function filesCard(study, number) {
  const list = h("div", null);
  const output = h("pre", { class: "output", tabindex: "0", "aria-label": "Output of the trial" });
  const attempt = h("select", { "aria-label": "Attempt", hidden: true, onchange: () => load(isFollowed).catch((error) => console.warn("the output is not loaded", error)) });
  const outputCard = h("section", { class: "card", hidden: true }, h("div", { class: "heading" }, h("h2", null, "Output"), attempt), output);
  const filesSection = h("section", { class: "card", hidden: true }, h("h2", null, "Files"), list);
  let shownDigest = "";
  let timer = 0;
  let isFollowed = false;
  const addressOf = (/** @type {string} */ name) => `/v1/artifacts/${encodeURIComponent(study)}/${number}/${encodeURIComponent(name)}`;

  /** @param {boolean} isRunning whether to look again later */
  const load = async (isRunning) => {
    window.clearTimeout(timer);
    isFollowed = isRunning;
    const { artifacts } = await get(studyPath(study, `/trials/${number}/artifacts`));
    filesSection.hidden = !artifacts.length;
    fill(list, h("table", null, h("thead", null, h("tr", null, ["file", "size", "epoch", "written"].map((one) => h("th", { scope: "col", class: "text" }, one)))),
      h("tbody", null, artifacts.map((/** @type {any} */ one) => h("tr", null,
        h("td", { class: "text" }, h("a", { href: addressOf(one.name), download: one.name }, one.name)), h("td", { class: "text" }, size(one.size_bytes)),
        h("td", { class: "text" }, one.step), h("td", { class: "text" }, ago(one.created_at)))))));
    const outputs = outputsOf(artifacts);
    if ([...attempt.options].map((one) => one.value).join() !== outputs.map((one) => one.name).join()) {
      const chosen = attempt.selectedIndex > 0 ? attempt.value : ""; // the first one is the last attempt, whichever it is
      fill(attempt, outputs.map((one) => h("option", { value: one.name }, `attempt ${one.attempt}`)));
      if (outputs.some((one) => one.name === chosen)) attempt.value = chosen;
      attempt.hidden = outputs.length < 2;
    }
    const found = outputs[Math.max(0, attempt.selectedIndex)];
    if (found && found.sha256 !== shownDigest) {
      const text = await (await call("GET", addressOf(found.name))).text();
      const isAtEnd = output.scrollTop + output.clientHeight >= output.scrollHeight - 20;
      output.textContent = printable(text);
      outputCard.hidden = false;
      shownDigest = found.sha256;
      if (isAtEnd) output.scrollTop = output.scrollHeight;
    }
    if (isRunning) timer = window.setTimeout(() => load(true).catch((error) => console.warn("the files are not listed again", error)), AGAIN_MS);
  };
  return { element: h("div", null, outputCard, filesSection), load };
}
