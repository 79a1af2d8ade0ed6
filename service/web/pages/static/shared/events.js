// The event stream of all windows of a browser, in a SharedWorker. A browser has six connections to a service: with a
// stream for each window the seventh could load nothing.

import { EventStream, whenAwake } from "../lib/event_stream.js";

/** @typedef {{what: "event", id: string, data: string, study: string}} KeptEvent */

const MAX_KEPT = 2000;

let lastId = "";
let kept = /** @type {KeptEvent[]} the newest events, without a gap, for windows that come back */ ([]);
const windows = /** @type {Map<MessagePort, string | null>} the study of each window; null for all */ (new Map());

const stream = new EventStream({
  onEvent: (id, data) => {
    lastId = id;
    const event = /** @type {KeptEvent} */ ({ what: "event", id, data, study: JSON.parse(data).study });
    kept.push(event);
    if (kept.length > 2 * MAX_KEPT) kept = kept.slice(-MAX_KEPT);
    for (const port of windows.keys()) tell(port, event);
  },
  onReset: (id) => {
    lastId = id;
    kept = [];
    tellAll({ what: "reset", id });
  },
  onOpen: () => tellAll({ what: "open" }),
  onLost: (isOver) => tellAll({ what: "lost", isOver }),
});

/** @param {object} message */
function tellAll(message) {
  for (const port of windows.keys()) port.postMessage(message);
}

/**
 * Tell a window of an event, if it is of the study that it shows.
 * @param {MessagePort} port
 * @param {KeptEvent} event
 */
function tell(port, event) {
  const study = windows.get(port);
  if (study === null || study === event.study) port.postMessage(event);
}

/**
 * A window follows from now on, or again.
 * @param {MessagePort} port
 * @param {string | null} study
 * @param {string} since id of the last event that the window knows; empty for none
 */
function follow(port, study, since) {
  windows.set(port, study);
  port.postMessage({ what: "here" });
  if (!stream.source) {
    lastId ||= since;
    stream.open(null, lastId);
  }
  const missed = eventsAfter(since);
  if (missed) for (const event of missed) tell(port, event);
  else port.postMessage({ what: "reset", id: lastId });
  if (stream.isOpen) port.postMessage({ what: "open" });
}

/**
 * The events after one; null if some of them are not known.
 * @param {string} id empty for none to go on after
 */
function eventsAfter(id) {
  if (!id || id === lastId) return [];
  const [run, number] = partsOf(id);
  const [firstRun, first] = partsOf(kept[0]?.id ?? "");
  if (run !== firstRun || number < first - 1) return null;
  return kept.filter((event) => partsOf(event.id)[1] > number);
}

/**
 * An id is the service's run and the number of the event in it.
 * @param {string} id
 * @returns {[string, number]}
 */
function partsOf(id) {
  const [run, number] = id.split("-");
  return [run, Number(number)];
}

self.addEventListener("connect", (event) => {
  const port = /** @type {MessageEvent} */ (event).ports[0];
  port.onmessage = ({ data }) => {
    if (data.does === "follow") return follow(port, data.study, data.lastId);
    windows.delete(port);
    if (!windows.size) stream.close();
  };
});
whenAwake(() => windows.size && stream.open(null, lastId));
