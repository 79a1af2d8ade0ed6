from collections.abc import Iterable
from datetime import UTC, datetime
from html import escape
from importlib.metadata import version
from string import Template

import plotly.io
from plotly.offline import get_plotlyjs

from narrows.html_report import summary
from narrows.html_report.curve_plots import curve_plots
from narrows.html_report.gather import Gathered
from narrows.html_report.plot import Plot
from narrows.html_report.rounds_plot import rounds_plot
from narrows.html_report.search_plots import search_plots
from narrows.html_report.style import STYLE

CONFIG = {"responsive": True, "displaylogo": False, "showTips": False}

PAGE = Template(
    """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline';
 script-src 'unsafe-inline' 'unsafe-eval'; img-src data: blob:">
<title>$title</title>
<link rel="icon" href="data:,">
<style>$style</style>
<script>$plotly</script>
</head>
<body>
<header>$heading$tiles<nav>
<a href="#best">Best trials</a><a href="#learning">How they learned</a><a href="#search">How the search went</a>
</nav></header>
<main>
<h2 id="best">Best trials</h2>
$best$final
<h2 id="learning">How the trials learned</h2>
$diagnosis
$learning
<h2 id="search">How the search went</h2>
$search
</main>
<footer>$footer</footer>
</body>
</html>
"""
)


def page(gathered: Gathered, now: datetime) -> str:
    """The whole document: it loads nothing, from nowhere."""
    learning = list(curve_plots(gathered))
    search = [*rounds_plot(gathered.rounds, gathered.study.definition.search_space), *search_plots(gathered)]
    written = f"Written {now.astimezone(UTC):%Y-%m-%d %H:%M} UTC by Narrows {version('narrows')}."
    return PAGE.substitute(
        title=escape(f"{gathered.study.name} · Narrows"),
        style=STYLE,
        plotly=get_plotlyjs(),
        heading=summary.heading(gathered),
        tiles=summary.tiles(gathered),
        best=summary.best_table(gathered),
        final=summary.final(gathered),
        diagnosis=summary.diagnosis(gathered),
        learning=_cards(learning, "learning"),
        search=_cards(search, "search") or '<div class="card"><p>No trial has begun yet.</p></div>',
        footer=escape(written),
    )


def _cards(plots: Iterable[Plot], prefix: str) -> str:
    return "\n".join(_card(plot, f"{prefix}-{number}") for number, plot in enumerate(plots))


def _card(plot: Plot, name: str) -> str:
    drawn = plotly.io.to_html(
        plot.figure,
        config=CONFIG,
        include_plotlyjs=False,
        full_html=False,
        div_id=name,
        default_height=f"{plot.figure.layout.height}px",
    )
    return (
        f'<section class="card"><h3>{escape(plot.title)}</h3><p class="note">{escape(plot.note)}</p>'
        f'<div class="plot">{drawn}</div></section>'
    )
