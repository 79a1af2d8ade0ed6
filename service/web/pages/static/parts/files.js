// The files of a trial, and its output as it is written.

import { call, get, studyPath } from "../lib/api.js";
import { fill, h, printable } from "../lib/dom.js";
import { ago, size } from "../lib/format.js";

const OUTPUT = "output";
const AGAIN_MS = 3000;

/**
 * @param {string} study
 * @param {number} number
 */
export function filesCard(study, number) {
  const list = h("div", null);
  const output = h("pre", { class: "output", tabindex: "0", "aria-label": "Output of the trial" });
  const outputCard = h("section", { class: "card", hidden: true }, h("h2", null, "Output"), output);
  const filesSection = h("section", { class: "card", hidden: true }, h("h2", null, "Files"), list);
  let shownDigest = "";
  let timer = 0;
  const addressOf = (/** @type {string} */ name) => `/v1/artifacts/${encodeURIComponent(study)}/${number}/${encodeURIComponent(name)}`;

  /** @param {boolean} isRunning whether to look again later */
  const load = async (isRunning) => {
    window.clearTimeout(timer);
    const { artifacts } = await get(studyPath(study, `/trials/${number}/artifacts`));
    filesSection.hidden = !artifacts.length;
    fill(list, h("table", null, h("thead", null, h("tr", null, ["file", "size", "epoch", "written"].map((one) => h("th", { scope: "col", class: "text" }, one)))),
      h("tbody", null, artifacts.map((/** @type {any} */ one) => h("tr", null,
        h("td", { class: "text" }, h("a", { href: addressOf(one.name), download: one.name }, one.name)), h("td", { class: "text" }, size(one.size_bytes)),
        h("td", { class: "text" }, one.step), h("td", { class: "text" }, ago(one.created_at)))))));
    const found = artifacts.find((/** @type {any} */ one) => one.name === OUTPUT);
    if (found && found.sha256 !== shownDigest) {
      const text = await (await call("GET", addressOf(OUTPUT))).text();
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
