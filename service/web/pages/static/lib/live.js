// One event stream for a page, through restarts of the service, lost connections and sleeping laptops.

import { get } from "./api.js";
import { fill, h } from "./dom.js";

const TYPES = [
  "study_created", "study_paused", "study_resumed", "study_stopped", "study_extended", "study_finished",
  "study_deleted", "round_begun", "trials_imported", "trial_created", "trial_started", "trial_reported",
  "trial_pruned", "trial_completed", "trial_failed", "trial_requeued", "trial_released", "trial_paused",
];
const GATHER_MS = 200;
const RETRY_MS = 2000;
const BEAT_MS = 5000;
const SLEPT_MS = 20000;

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
 * tell. While the page is hidden the stream is closed, because a browser has few
 * connections for all of its tabs; when the page is shown again, it goes on after the last event.
 * @param {string | null} study
 * @param {Listener} listener
 * @returns {{opened: Promise<void>}} settles when the stream is open, or cannot be opened yet
 */
export function follow(study, listener) {
  let lastId = "";
  let source = /** @type {EventSource | null} */ (null);
  let pending = /** @type {LiveEvent[]} */ ([]);
  let gathering = 0;
  let retry = 0;
  let beat = Date.now();
  let wasOpen = false;
  let settle = () => {};
  const opened = /** @type {Promise<void>} */ (new Promise((resolve) => (settle = resolve)));

  const flush = () => {
    gathering = 0;
    const events = pending;
    pending = [];
    if (events.length) listener.onEvents(events);
  };
  const onEvent = (/** @type {MessageEvent} */ message) => {
    lastId = message.lastEventId;
    pending.push(JSON.parse(message.data));
    gathering ||= window.setTimeout(flush, GATHER_MS);
  };
  const onReset = (/** @type {MessageEvent} */ message) => {
    lastId = message.lastEventId;
    listener.onReload();
  };
  const close = () => {
    source?.close();
    source = null;
    window.clearTimeout(retry);
  };
  const open = () => {
    close();
    if (document.hidden) return;
    const query = new URLSearchParams();
    if (study) query.set("study", study);
    if (lastId) query.set("last_event_id", lastId);
    const stream = (source = new EventSource(`/v1/events?${query}`));
    for (const type of TYPES) stream.addEventListener(type, onEvent);
    stream.addEventListener("reset", onReset);
    stream.onopen = () => {
      showConnection(true);
      // Without an id there is nothing to go on after: what happened since the last stream has to be loaded.
      if (!lastId && wasOpen) listener.onReload();
      wasOpen = true;
      settle();
    };
    stream.onerror = () => {
      showConnection(false);
      wasOpen = true; // what the page has loaded without a stream may be old
      settle();
      if (stream.readyState === EventSource.CLOSED) retry = window.setTimeout(askAndOpen, RETRY_MS);
    };
  };
  const askAndOpen = async () => {
    try {
      await get("/v1/studies", { limit: 1 }); // a session that is over leads to the login
      open();
    } catch (error) {
      console.warn("the service does not answer yet", error);
      retry = window.setTimeout(askAndOpen, RETRY_MS);
    }
  };
  const onVisibility = () => (document.hidden ? close() : open());
  window.setInterval(() => {
    const slept = Date.now() - beat > SLEPT_MS;
    beat = Date.now();
    if (slept && !document.hidden) open(); // the connection of before may be dead without an error
  }, BEAT_MS);
  document.addEventListener("visibilitychange", onVisibility);
  window.addEventListener("online", open);
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
