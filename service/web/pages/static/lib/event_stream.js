// One connection to the service's event stream, of a window or of the worker that all windows share.

const TYPES = [
  "study_created", "study_paused", "study_resumed", "study_stopped", "study_extended", "study_finished",
  "study_deleted", "round_begun", "trials_imported", "trial_created", "trial_started", "trial_reported",
  "trial_pruned", "trial_completed", "trial_failed", "trial_requeued", "trial_released", "trial_paused",
];
const BEAT_MS = 5000;
const SLEPT_MS = 20000;

/**
 * @typedef {object} StreamListener
 * @property {(id: string, data: string) => void} onEvent the data is a LiveEvent as JSON
 * @property {(id: string) => void} onReset events were lost
 * @property {() => void} onOpen
 * @property {(isOver: boolean) => void} onLost the browser tries again by itself unless it is over
 */

export class EventStream {
  /** @param {StreamListener} listener */
  constructor(listener) {
    this.listener = listener;
    this.source = /** @type {EventSource | null} */ (null);
    this.isOpen = false;
  }

  /**
   * Connect, in the place of an earlier connection.
   * @param {string | null} study the only one to follow; null for all
   * @param {string} lastId of the event to go on after; empty for the next one
   */
  open(study, lastId) {
    this.close();
    const query = new URLSearchParams();
    if (study) query.set("study", study);
    if (lastId) query.set("last_event_id", lastId);
    const source = (this.source = new EventSource(`/v1/events?${query}`));
    const onEvent = (/** @type {MessageEvent} */ message) => this.listener.onEvent(message.lastEventId, message.data);
    for (const type of TYPES) source.addEventListener(type, onEvent);
    source.addEventListener("reset", (message) => this.listener.onReset(message.lastEventId));
    source.onopen = () => {
      this.isOpen = true;
      this.listener.onOpen();
    };
    source.onerror = () => {
      this.isOpen = false;
      const isOver = source.readyState === EventSource.CLOSED;
      if (isOver) this.source = null;
      this.listener.onLost(isOver);
    };
  }

  close() {
    this.source?.close();
    this.source = null;
    this.isOpen = false;
  }
}

/**
 * Call a function whenever a connection may be dead without an error: the machine has slept, or is online again.
 * @param {() => void} work
 */
export function whenAwake(work) {
  let beat = Date.now();
  setInterval(() => {
    const hasSlept = Date.now() - beat > SLEPT_MS;
    beat = Date.now();
    if (hasSlept) work();
  }, BEAT_MS);
  globalThis.addEventListener("online", work);
}
