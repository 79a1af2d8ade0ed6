// A new study: its definition in an editor, checked by the service while one types.

import { ApiError, call, reasonOf, send } from "../lib/api.js";
import { fill, h } from "../lib/dom.js";
import { ask } from "../lib/dialog.js";
import { counted } from "../lib/format.js";
import { may } from "../lib/session.js";
import { keepDraft, readDraft } from "../parts/draft.js";
import { Editor } from "../parts/editor.js";
import { EXAMPLES } from "../parts/examples.js";

const QUIET_MS = 400;
const YAML = "application/yaml";

/** @param {HTMLElement} main */
export async function showNew(main) {
  document.title = "New study · Narrows";
  if (!may("submit")) {
    fill(main, h("h1", null, "New study"), h("p", null, "This token may only read. A token with the scope submit creates studies."));
    return;
  }
  let timer = 0;
  let version = 0;
  const verdict = h("p", { class: "verdict", role: "status" });
  const create = h("button", { type: "button", class: "primary", disabled: true, onclick: () => void submit() }, "Create the study");
  const editor = new Editor({ label: "Definition of the study, in YAML or JSON", onChange: () => later() });

  const later = () => {
    keepDraft(editor.text);
    window.clearTimeout(timer);
    timer = window.setTimeout(() => void check(), QUIET_MS);
  };
  const check = async () => {
    const now = ++version;
    try {
      const answer = await (await call("POST", "/v1/studies?check=true", editor.text, YAML)).json();
      if (now !== version) return;
      editor.say([]);
      create.disabled = answer.existing === "other";
      verdict.className = answer.existing === "other" ? "verdict wrong" : "verdict right";
      fill(verdict, verdictOf(answer));
    } catch (error) {
      if (now !== version) return;
      create.disabled = true;
      verdict.className = "verdict wrong";
      const messages = error instanceof ApiError ? (error.errors.length ? error.errors : [{ message: error.message }]) : [{ message: reasonOf(error) }];
      fill(verdict, editor.text.trim() ? `${counted(messages.length, "problem")}` : "Write a definition, or begin with an example.");
      editor.say(editor.text.trim() ? /** @type {any} */ (messages) : []);
    }
  };
  const submit = async () => {
    create.disabled = true;
    try {
      const study = await (await call("POST", "/v1/studies", editor.text, YAML)).json();
      keepDraft("");
      location.assign(`/studies/${encodeURIComponent(study.name)}`);
    } catch (error) {
      verdict.className = "verdict wrong";
      fill(verdict, reasonOf(error));
    }
  };
  const use = (/** @type {string} */ text) => {
    editor.text = text;
    keepDraft(text);
    void check();
  };
  const example = h("select", { "aria-label": "Begin with an example" }, h("option", { value: "" }, "Begin with an example…"), Object.keys(EXAMPLES).map((one) => h("option", null, one)));
  example.addEventListener("change", () => {
    if (example.value) use(EXAMPLES[example.value]);
    example.value = "";
  });
  fill(main, h("h1", null, "New study"),
    h("div", { class: "tools" }, example, h("button", { type: "button", onclick: () => void convert(use) }, "Convert a W&B sweep"), h("a", { href: "/docs" }, "API reference")),
    editor.element, h("div", { class: "heading" }, verdict, create));
  editor.text = readDraft();
  await check();
}

/** @param {{name: string, existing: string | null, replaceable: boolean, n_trials: number}} answer */
function verdictOf({ name, existing, n_trials: nTrials }) {
  if (existing === "other") return `Another study is called ${name} already: choose another name.`;
  if (existing === "same") return `The study ${name} exists already with this definition.`;
  return `The definition is right: ${counted(nTrials, "trial")}.`;
}

/** @param {(text: string) => void} use */
async function convert(use) {
  const area = h("textarea", { name: "text", rows: "14", spellcheck: "false", required: true, "aria-label": "The sweep's YAML", placeholder: "program: train.py\nmethod: bayes\nmetric: {name: val_loss, goal: minimize}\nparameters:\n  lr: {distribution: log_uniform_values, min: 1e-5, max: 1e-1}" });
  await ask({
    title: "Convert a W&B sweep",
    body: [
      h("label", null, "Paste the sweep's YAML", area),
      h("label", null, "Name of the study", h("input", { name: "name", placeholder: "as in the sweep" })),
      h("label", null, "Number of trials", h("input", { name: "n_trials", type: "number", min: "1", placeholder: "as in the sweep" })),
    ],
    action: "Convert",
    run: async (form) => {
      const given = [...form.entries()].filter(([, value]) => value !== "").map(([name, value]) => [name, name === "n_trials" ? Number(value) : value]);
      const { definition } = await send("POST", "/v1/convert", Object.fromEntries(given));
      use(definition);
    },
  });
}
