// Questions before something is done, and what became of it.

import { reasonOf } from "./api.js";
import { fill, h } from "./dom.js";

/** @typedef {import("./dom.js").Child} Child */

/**
 * Ask, do it, and show why it was refused. The dialog stays open after a refusal.
 * @param {object} given
 * @param {string} given.title
 * @param {Child[]} given.body
 * @param {string} given.action the text of the button
 * @param {boolean} [given.isDanger] whether it cannot be undone
 * @param {(form: FormData) => Promise<unknown>} given.run
 * @returns {Promise<boolean>} whether it was done
 */
export function ask({ title, body, action, isDanger = false, run }) {
  return new Promise((resolve) => {
    const problem = h("p", { class: "problem", role: "alert", hidden: true });
    const button = h("button", { type: "submit", class: isDanger ? "danger" : "primary" }, action);
    const cancel = h("button", { type: "button", onclick: () => dialog.close() }, "Cancel");
    const form = h("form", { method: "dialog" }, h("h2", null, title), ...body, problem, h("div", { class: "buttons" }, cancel, button));
    const dialog = h("dialog", { "aria-label": title }, form);
    let done = false;
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      button.disabled = true;
      try {
        await run(new FormData(form));
        done = true;
        dialog.close();
      } catch (error) {
        problem.hidden = false;
        fill(problem, reasonOf(error));
      } finally {
        button.disabled = false;
      }
    });
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(done);
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}

/**
 * A button that does something at once and shows beside it why that was refused.
 * @param {string} text
 * @param {() => Promise<unknown>} run
 * @param {string} [kind] class of the button
 */
export function actionButton(text, run, kind = "") {
  const problem = h("span", { class: "problem", role: "alert" });
  const button = h("button", { type: "button", class: kind }, text);
  button.addEventListener("click", async () => {
    button.disabled = true;
    fill(problem);
    try {
      await run();
    } catch (error) {
      fill(problem, reasonOf(error));
    } finally {
      button.disabled = false;
    }
  });
  return h("span", { class: "action" }, button, problem);
}
