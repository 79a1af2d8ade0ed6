// Runs before the first paint, so that a page that was switched to dark does not flash.
(function () {
  try {
    const chosen = localStorage.getItem("narrows-theme");
    if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
  } catch (error) {
    console.warn("the theme is not kept: this browser gives pages no storage", error);
  }
})();
