// Finds the view of the page's address and shows it.

import { reasonOf } from "./lib/api.js";
import { fill, h } from "./lib/dom.js";
import { loadSession } from "./lib/session.js";
import { installThemeSwitch } from "./lib/theme.js";
import { showCompare } from "./views/compare.js";
import { showNew } from "./views/new.js";
import { showStudies } from "./views/studies.js";
import { showStudy } from "./views/study.js";
import { showTrial } from "./views/trial.js";
import { showWorkers } from "./views/workers.js";

/** @typedef {(main: HTMLElement, ...parts: string[]) => Promise<void>} View */

const VIEWS = /** @type {[RegExp, View][]} */ ([
  [/^\/$/, showStudies],
  [/^\/studies\/([^/]+)$/, showStudy],
  [/^\/studies\/([^/]+)\/trials\/([^/]+)$/, showTrial],
  [/^\/workers$/, showWorkers],
  [/^\/new$/, showNew],
  [/^\/compare$/, showCompare],
]);

async function start() {
  installThemeSwitch();
  for (const link of document.querySelectorAll("header nav a")) {
    const href = link.getAttribute("href");
    if (href === location.pathname || (href === "/" && location.pathname.startsWith("/studies/"))) {
      link.setAttribute("aria-current", "page");
    }
  }
  const main = /** @type {HTMLElement} */ (document.getElementById("main"));
  try {
    await loadSession();
    for (const [pattern, view] of VIEWS) {
      const found = pattern.exec(location.pathname);
      if (found) return await view(main, ...found.slice(1).map(decodeURIComponent));
    }
  } catch (error) {
    console.warn("the page cannot be shown", error);
    fill(main, h("div", { class: "card" }, h("h1", null, "This page cannot be shown"), h("p", { class: "problem", role: "alert" }, reasonOf(error)),
      h("p", null, h("a", { href: location.pathname + location.search }, "Try again"))));
  }
}

void start();
