// The text of a study that is being written, kept while the tab is open.

const KEY = "narrows-draft";

/** @param {string} text */
export function keepDraft(text) {
  try {
    sessionStorage.setItem(KEY, text);
  } catch (error) {
    console.warn("the draft is not kept: this browser gives pages no storage", error);
  }
}

/** @returns {string} empty without one */
export function readDraft() {
  try {
    return sessionStorage.getItem(KEY) ?? "";
  } catch (error) {
    console.warn("there is no draft: this browser gives pages no storage", error);
    return "";
  }
}
