// A table of any number of rows of which only those in sight exist; pages of rows are fetched as they come into sight.

import { fill, h, unlessPressed } from "../lib/dom.js";

const ROW = 32;
const PAGE = 200;
const BEYOND = 8;

/** @typedef {import("../lib/dom.js").Child} Child */

/**
 * @typedef {object} Column
 * @property {string} key
 * @property {string} title
 * @property {boolean} [isText] left-aligned
 * @property {boolean} [isFixed] cannot be sorted by
 * @property {(value: any, row: Record<string, any>) => Child} show
 */

/** @typedef {{total: number, rows: Record<string, any>[]}} Page */

export class VirtualTable {
  /**
   * @param {object} given
   * @param {string} given.label
   * @param {(offset: number, limit: number) => Promise<Page>} given.fetch
   * @param {(key: string) => void} given.onSort
   * @param {(row: Record<string, any>) => void} given.onOpen
   */
  constructor({ label, fetch, onSort, onOpen }) {
    this.fetch = fetch;
    this.onSort = onSort;
    this.onOpen = onOpen;
    this.columns = /** @type {Column[]} */ ([]);
    this.order = "";
    this.total = 0;
    this.pages = /** @type {Map<number, Record<string, any>[] | Promise<void>>} */ (new Map());
    this.version = 0;
    this.current = 0;
    this.head = h("div", { class: "vhead", role: "row" });
    this.body = h("div", { class: "vbody", role: "rowgroup" });
    this.table = h("div", { class: "vtable", role: "grid", "aria-label": label, tabindex: "0" }, h("div", { role: "rowgroup", class: "vheads" }, this.head), this.body);
    this.element = h("div", { class: "vscroll" }, this.table);
    this.element.addEventListener("scroll", () => this.render());
    this.table.addEventListener("keydown", (event) => this.onKey(event));
    new ResizeObserver(() => this.render()).observe(this.element);
  }

  /**
   * @param {Column[]} columns
   * @param {string} order the key of the sorted column, with - for descending
   */
  setColumns(columns, order) {
    this.columns = columns;
    this.order = order;
    fill(this.head, columns.map((column) => this.headOf(column)));
    this.table.setAttribute("aria-colcount", String(columns.length));
    this.table.style.setProperty("--columns", columns.map((column) => (column.key === "number" ? "5rem" : "minmax(7rem, 1fr)")).join(" "));
  }

  /** @param {Column} column */
  headOf(column) {
    const sorted = this.order.replace(/^-/, "") === column.key ? (this.order.startsWith("-") ? "descending" : "ascending") : "none";
    const arrow = { none: "", ascending: " ↑", descending: " ↓" }[sorted];
    const content = column.isFixed ? column.title : h("button", { type: "button", onclick: () => this.onSort(column.key), title: column.title }, column.title, arrow);
    return h("div", { role: "columnheader", "aria-sort": sorted, class: column.isText ? "text" : "" }, content);
  }

  /** Fetch the rows in sight again; the old ones stay until the new ones are there. */
  async refresh() {
    const version = ++this.version;
    const first = Math.floor(this.firstRow() / PAGE);
    const { total, rows } = await this.fetch(first * PAGE, PAGE);
    if (version !== this.version) return;
    this.pages = new Map([[first, rows]]);
    this.setTotal(total);
    this.render();
  }

  /** @param {number} total */
  setTotal(total) {
    this.total = total;
    this.current = Math.min(this.current, Math.max(0, total - 1));
    this.body.style.height = `${Math.max(1, total) * ROW}px`;
    this.table.setAttribute("aria-rowcount", String(total + 1));
    this.element.dataset.total = String(total);
  }

  firstRow() {
    return Math.max(0, Math.min(Math.floor(this.element.scrollTop / ROW) - BEYOND, this.total - 1));
  }

  render() {
    unlessPressed(this, () => this.draw());
  }

  draw() {
    const first = this.firstRow();
    const last = Math.min(this.total, Math.ceil((this.element.scrollTop + this.element.clientHeight) / ROW) + BEYOND);
    const rows = [];
    for (let index = first; index < last; index++) rows.push(this.rowAt(index));
    if (!this.total) rows.push(h("div", { class: "vrow empty", role: "row" }, h("div", { role: "gridcell" }, "No trial to show.")));
    fill(this.body, rows);
  }

  /** @param {number} index */
  rowAt(index) {
    const page = Math.floor(index / PAGE);
    const known = this.pages.get(page);
    if (!known) this.fetchPage(page);
    const row = Array.isArray(known) ? known[index - page * PAGE] : undefined;
    const classes = `vrow${index === this.current ? " current" : ""}`;
    const cells = this.columns.map((column) => h("div", { role: "gridcell", class: column.isText ? "text" : "" }, row ? column.show(row[column.key], row) : "…"));
    return h("div", { class: classes, role: "row", "aria-rowindex": String(index + 2), style: { top: `${index * ROW}px` }, onclick: () => row && this.onOpen(row) }, cells);
  }

  /** @param {number} page */
  fetchPage(page) {
    const version = this.version;
    const waiting = (async () => {
      try {
        const { total, rows } = await this.fetch(page * PAGE, PAGE);
        if (version !== this.version) return;
        this.pages.set(page, rows);
        if (total !== this.total) this.setTotal(total);
      } catch (error) {
        console.warn("rows are not loaded; scrolling asks again", error);
        this.pages.delete(page);
        return;
      }
      this.render();
    })();
    this.pages.set(page, waiting);
  }

  /** @param {KeyboardEvent} event */
  onKey(event) {
    if (event.target !== this.table) return;
    const many = Math.max(1, Math.floor(this.element.clientHeight / ROW) - 2);
    const steps = /** @type {Record<string, number>} */ ({ ArrowDown: 1, ArrowUp: -1, PageDown: many, PageUp: -many, Home: -this.total, End: this.total });
    if (event.key in steps) {
      event.preventDefault();
      this.current = Math.max(0, Math.min(this.total - 1, this.current + steps[event.key]));
      const [top, view] = [this.current * ROW, this.element.clientHeight - 2 * ROW];
      if (top < this.element.scrollTop) this.element.scrollTop = top;
      if (top > this.element.scrollTop + view) this.element.scrollTop = top - view;
      this.render();
    } else if (event.key === "Enter") {
      const page = this.pages.get(Math.floor(this.current / PAGE));
      if (Array.isArray(page)) this.onOpen(page[this.current % PAGE]);
    }
  }
}
