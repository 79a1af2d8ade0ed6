// A text area with line numbers, and messages at the lines that they are about.

import { fill, h } from "../lib/dom.js";

/** @typedef {{line?: number, field?: string, message: string}} Message */

const TAB = "  ";

export class Editor {
  /** @param {{label: string, onChange: () => void}} given */
  constructor({ label, onChange }) {
    this.messages = /** @type {Message[]} */ ([]);
    this.gutter = h("div", { class: "gutter", "aria-hidden": "true" });
    this.area = h("textarea", { "aria-label": label, spellcheck: "false", autocapitalize: "off", autocomplete: "off", wrap: "off" });
    this.list = h("ul", { class: "messages", role: "status", "aria-live": "polite" });
    this.element = h("div", { class: "editor" }, h("div", { class: "sheet" }, this.gutter, this.area), this.list);
    this.area.addEventListener("input", () => {
      this.number();
      onChange();
    });
    this.area.addEventListener("scroll", () => void (this.gutter.scrollTop = this.area.scrollTop));
    this.area.addEventListener("keydown", (event) => this.onKey(event));
    this.number();
  }

  get text() {
    return this.area.value;
  }

  set text(text) {
    this.area.value = text;
    this.number();
  }

  /** Show messages beside their lines and in a list below. @param {Message[]} messages */
  say(messages) {
    this.messages = messages;
    this.number();
    fill(this.list, messages.map((one) => {
      const place = one.line === undefined ? null : h("button", { type: "button", class: "link", onclick: () => this.goTo(Number(one.line)) }, `line ${one.line}`);
      return h("li", null, place, place && " ", one.field && h("code", null, one.field), one.field && " ", one.message);
    }));
  }

  /** Write the numbers of the lines, those with a message marked. */
  number() {
    const count = this.area.value.split("\n").length;
    const wrong = new Map(this.messages.filter((one) => one.line !== undefined).map((one) => [one.line, one.message]));
    fill(this.gutter, Array.from({ length: count }, (_, k) => h("div", { class: wrong.has(k + 1) ? "wrong" : "", title: wrong.get(k + 1) ?? null }, k + 1)));
    this.gutter.scrollTop = this.area.scrollTop;
  }

  /** @param {number} line from 1 */
  goTo(line) {
    const lines = this.area.value.split("\n");
    const start = lines.slice(0, line - 1).reduce((sum, one) => sum + one.length + 1, 0);
    this.area.focus();
    this.area.setSelectionRange(start, start + (lines[line - 1] ?? "").length);
  }

  /** A Tab indents by two blanks; Escape before it leaves the field. @param {KeyboardEvent} event */
  onKey(event) {
    if (event.key === "Escape") this.leaves = true;
    else if (event.key !== "Tab" || event.shiftKey || this.leaves) this.leaves = event.key === "Shift" && this.leaves;
    else {
      event.preventDefault();
      this.area.setRangeText(TAB, this.area.selectionStart, this.area.selectionEnd, "end");
      this.area.dispatchEvent(new Event("input"));
    }
  }
}
