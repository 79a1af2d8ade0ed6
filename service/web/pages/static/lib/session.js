// Who reads these pages, and what the token allows: buttons that may not be pressed are not there.

import { readSession } from "./data.js";
import { fill, h } from "./dom.js";

let scopes = /** @type {string[]} */ ([]);

/** Ask who reads, and show it in the header. */
export async function loadSession() {
  const session = await readSession();
  scopes = session.scopes;
  for (const link of /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll("[data-scope]"))) {
    link.hidden = !may(link.dataset.scope ?? "");
  }
  const caller = document.getElementById("caller");
  if (caller && session.by !== "local") fill(caller, h("span", { title: `scopes: ${scopes.join(", ")}` }, session.name));
}

/**
 * Whether the reader's token opens a scope.
 * @param {string} scope
 */
export const may = (scope) => scopes.includes(scope);
