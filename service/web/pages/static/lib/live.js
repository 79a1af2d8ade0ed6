// What happens in the service, told to a page: through restarts of the service, lost connections and sleeping laptops.

import { get } from "./api.js";
import { fill, h } from "./dom.js";
import { whenAwake } from "./event_stream.js";
import { connectionOf } from "./shared_stream.js";

const GATHER_MS = 200;
const RETRY_MS = 2000;

/**
 * @typedef {object} LiveEvent
 * @property {string} type
 * @property {string} study
 * @property {string} at
 * @property {number} [trial]
 * @property {number} [attempt]
 * @property {string} [worker]
 * @property {Record<string, any>} [params]
 * @property {number} [step]
 * @property {Record<string, number | string>} [metrics]
 * @property {(number | string)[]} [values]
 * @property {string} [reason]
 */

/**
 * @typedef {object} Listener
 * @property {(events: LiveEvent[]) => void} onEvents what has happened, gathered for a fifth of a second
 * @property {() => void} onReload events were lost: load everything again
 */

/**
 * Follow the events of one study, or of all. What is loaded once `opened` has settled lacks nothing that events do not
 * tell. A hidden page follows nothing; when it is shown again, it goes on after the last event.
 * @param {string | null} study
 * @param {Listener} listener
 * @returns {{opened: Promise<void>}} settles when the stream is open, or cannot be opened yet
 */
export function follow(study, listener) {
  let lastId = "";
  let pending = /** @type {LiveEvent[]} */ ([]);
  let gathering = 0;
  let retry = 0;
  let wasOpen = false;
  let settle = () => {};
  const opened = /** @type {Promise<void>} */ (new Promise((resolve) => (settle = resolve)));

  const flush = () => {
    gathering = 0;
    const events = pending;
    pending = [];
    if (events.length) listener.onEvents(events);
  };
  const connection = connectionOf({
    onEvent: (id, data) => {
      lastId = id;
      pending.push(JSON.parse(data));
      gathering ||= window.setTimeout(flush, GATHER_MS);
    },
    onReset: (id) => {
      lastId = id;
      listener.onReload();
    },
    onOpen: () => {
      showConnection(true);
      // Without an id there is nothing to go on after: what happened since the last stream has to be loaded.
      if (!lastId && wasOpen) listener.onReload();
      wasOpen = true;
      settle();
    },
    onLost: (isOver) => {
      showConnection(false);
      wasOpen = true; // what the page has loaded without a stream may be old
      settle();
      if (isOver) retryLater();
    },
  });
  const close = () => {
    connection.close();
    window.clearTimeout(retry);
  };
  const open = () => {
    window.clearTimeout(retry);
    if (!document.hidden) connection.open(study, lastId);
  };
  const retryLater = () => {
    window.clearTimeout(retry);
    retry = window.setTimeout(askAndOpen, RETRY_MS);
  };
  const askAndOpen = async () => {
    try {
      await get("/v1/studies", { limit: 1 }); // a session that is over leads to the login
      open();
    } catch (error) {
      console.warn("the service does not answer yet", error);
      retryLater();
    }
  };
  document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()));
  window.addEventListener("pagehide", close);
  window.addEventListener("pageshow", (event) => event.persisted && open());
  whenAwake(open);
  open();
  if (document.hidden) wasOpen = true;
  if (document.hidden) settle();
  return { opened };
}

/** @param {boolean} isLive */
function showConnection(isLive) {
  const banner = document.getElementById("banner");
  if (!banner) return;
  if (isLive) fill(banner);
  else if (!banner.firstChild) {
    fill(banner, h("p", { class: "lost" }, "The connection to the service is lost. What you see is from before; trying again…"));
  }
}

/**
 * Call a function soon, and not more often than once in `ms`.
 * @param {() => void | Promise<void>} work
 * @param {number} ms
 * @returns {() => void}
 */
export function throttled(work, ms) {
  let [last, timer] = [0, 0];
  return () => {
    if (timer) return;
    timer = window.setTimeout(() => {
      [last, timer] = [Date.now(), 0];
      void work();
    }, Math.max(0, last + ms - Date.now()));
  };
}
