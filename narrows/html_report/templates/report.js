// Gives the plots the colours of the page where it is dark: they are drawn for a light one.
(function () {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const probe = document.body.appendChild(document.createElement("i"));
  probe.hidden = true;

  function colourOf(name, isDark) {
    probe.style.colorScheme = isDark ? "dark" : "light";
    probe.style.color = `var(${name})`;
    return getComputedStyle(probe).color;
  }

  function paint(isDark) {
    const ink = colourOf("--ink", isDark), line = colourOf("--chart-line", isDark);
    for (const plot of document.querySelectorAll(".plotly-graph-div")) {
      const colours = { "font.color": ink };
      for (const axis of Object.keys(plot.layout ?? {}).filter((name) => /^[xy]axis[0-9]*$/.test(name))) {
        Object.assign(colours, { [`${axis}.gridcolor`]: line, [`${axis}.zerolinecolor`]: line, [`${axis}.linecolor`]: line });
      }
      Plotly.relayout(plot, colours);
    }
  }

  if (dark.matches) paint(true);
  dark.addEventListener("change", () => paint(dark.matches));
  window.addEventListener("beforeprint", () => dark.matches && paint(false));
  window.addEventListener("afterprint", () => dark.matches && paint(true));
})();
