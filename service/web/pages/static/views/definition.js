// The definition of a study as it was written, to read, copy or begin another study with.

import { fill, h } from "../lib/dom.js";
import { may } from "../lib/session.js";
import { keepDraft } from "../parts/draft.js";
import { asYaml } from "../lib/yaml.js";

/** @typedef {import("../parts/study_model.js").StudyModel} StudyModel */

/**
 * @param {HTMLElement} panel
 * @param {StudyModel} model
 */
export function showDefinition(panel, model) {
  const text = h("pre", { class: "code", tabindex: "0", "aria-label": "Definition" });
  const copy = () => {
    keepDraft(asYaml({ ...model.study.definition, name: `${model.name}-copy` }));
    location.assign("/new");
  };
  fill(panel, h("section", { class: "card" }, h("div", { class: "heading" }, h("h2", null, "Definition"),
    may("submit") && h("button", { type: "button", onclick: copy }, "Copy as new study")), text));
  model.on(["study"], () => fill(text, asYaml(model.study.definition)));
}
