// The switch between the system's theme, light and dark.

const NEXT = /** @type {Record<string, string>} */ ({ system: "light", light: "dark", dark: "system" });
const NAMES = /** @type {Record<string, string>} */ ({ system: "Auto", light: "Light", dark: "Dark" });

/** Whether the page is dark now. */
export function isDark() {
  const chosen = document.documentElement.dataset.theme;
  return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}

/** Give the button in the header its meaning. */
export function installThemeSwitch() {
  const button = document.getElementById("theme");
  if (!button) return;
  const show = () => {
    const now = document.documentElement.dataset.theme ?? "system";
    button.textContent = NAMES[now];
    button.setAttribute("aria-label", `Theme: ${NAMES[now]}. Switch to ${NAMES[NEXT[now]]}`);
  };
  button.addEventListener("click", () => {
    const next = NEXT[document.documentElement.dataset.theme ?? "system"];
    if (next === "system") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = next;
    keep(next);
    show();
    window.dispatchEvent(new Event("themechange"));
  });
  show();
}

/** @param {string} theme */
function keep(theme) {
  try {
    localStorage.setItem("narrows-theme", theme);
  } catch (error) {
    console.warn("the theme is not kept: this browser gives pages no storage", error);
  }
}
