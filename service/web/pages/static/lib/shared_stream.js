// The event stream of a window: the one that all windows of the browser share, or its own where sharing fails.

import { EventStream } from "./event_stream.js";

/** @typedef {import("./event_stream.js").StreamListener} StreamListener */
/** @typedef {{open: (study: string | null, lastId: string) => void, close: () => void}} Connection */

const ANSWER_MS = 5000;

/**
 * @param {StreamListener} listener
 * @returns {Connection}
 */
export function connectionOf(listener) {
  if (typeof SharedWorker === "undefined") return new EventStream(listener);
  try {
    const worker = new SharedWorker(new URL("../shared/events.js", import.meta.url), { type: "module", name: "narrows-events" });
    return new SharedStream(worker, listener);
  } catch (error) {
    console.warn("the windows share no event stream: each has its own", error);
    return new EventStream(listener);
  }
}

class SharedStream {
  /**
   * @param {SharedWorker} worker
   * @param {StreamListener} listener
   */
  constructor(worker, listener) {
    this.listener = listener;
    this.port = worker.port;
    this.own = /** @type {EventStream | null} for a worker that does not answer */ (null);
    this.wanted = /** @type {{study: string | null, lastId: string} | null} */ (null);
    this.isAnswering = false;
    this.waiting = 0;
    worker.addEventListener("error", () => this.useOwn());
    this.port.addEventListener("message", (message) => this.hear(message.data));
    this.port.start();
  }

  /** @param {any} said */
  hear(said) {
    this.isAnswering = true;
    if (this.own || !this.wanted) return; // what was on its way when the window stopped following
    if (said.what === "event") this.listener.onEvent(said.id, said.data);
    if (said.what === "reset") this.listener.onReset(said.id);
    if (said.what === "open") this.listener.onOpen();
    if (said.what === "lost") this.listener.onLost(said.isOver);
  }

  /**
   * @param {string | null} study
   * @param {string} lastId
   */
  open(study, lastId) {
    this.wanted = { study, lastId };
    if (this.own) return this.own.open(study, lastId);
    this.port.postMessage({ does: "follow", study, lastId });
    if (!this.isAnswering) this.waiting ||= window.setTimeout(() => this.isAnswering || this.useOwn(), ANSWER_MS);
  }

  close() {
    this.wanted = null;
    if (this.own) this.own.close();
    else this.port.postMessage({ does: "leave" });
  }

  useOwn() {
    if (this.own) return;
    console.warn("the windows share no event stream: each has its own");
    this.port.close();
    this.own = new EventStream(this.listener);
    if (this.wanted) this.own.open(this.wanted.study, this.wanted.lastId);
  }
}
