"""The page itself: the template filled with a gathered study."""

from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import plotly.io
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from narrows.html_report import summary
from narrows.html_report.curve_plots import curve_plots
from narrows.html_report.gather import Gathered
from narrows.html_report.plot import Plot
from narrows.html_report.rounds_plot import rounds_plot
from narrows.html_report.search_plots import search_plots
from service import client
from service.client.text import sentences, utc
from service.schemas.terminal_text import printable

TEMPLATES = Path(__file__).parent / "templates"
SERVICE = Path(client.__file__).parents[1]
SHARED_STYLES = [SERVICE / "web/pages/static" / name for name in ("tokens.css", "base.css")]
"""The looks of the pages, which the report has too. They are read as files: the server's code is not imported."""
PLOTLY_CONFIG = {"responsive": True, "displaylogo": False, "showTips": False}


def render_page(gathered: Gathered, now: datetime) -> str:
    """Return the HTML document of a study. It holds its scripts and styles, so a browser needs no network for it."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        finalize=_visible,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"utc": utc, "drawn": _draw}
    environment.globals |= {"zip": zip}
    space = gathered.study.definition.search_space
    return environment.get_template("report.html").render(
        study=gathered.study,
        tiles=summary.tiles(gathered),
        best=summary.best_table(gathered),
        best_note="No other trial beats these in every objective."
        if gathered.has_several_objectives
        else "Best first.",
        final=sentences(gathered.final) if gathered.final is not None else [],
        diagnosis=gathered.diagnosis,
        verdicts=summary.verdicts(gathered.diagnosis),
        judged=summary.verdict_table(gathered.diagnosis),
        learning=list(curve_plots(gathered)),
        drawn_note=summary.drawn_note(gathered),
        search=[*rounds_plot(gathered.rounds, space), *search_plots(gathered)],
        plotly_js=get_plotlyjs(),
        shared_css="".join(style.read_text(encoding="utf-8") for style in SHARED_STYLES),
        now=now.astimezone(UTC),
        version=version("narrows"),
    )


def _visible(value: object) -> object:
    """Return text of users with escapes for control characters, some of which turn the order of others around."""
    return printable(value) if type(value) is str else value  # and not Markup, which is a str too


def _draw(plot: Plot, name: str) -> Markup:
    """Return a figure as HTML; Plotly writes what it holds as JSON in which `<` and `>` are escaped."""
    html = plotly.io.to_html(
        plot.figure,
        config=PLOTLY_CONFIG,
        include_plotlyjs=False,
        full_html=False,
        div_id=name,
        default_height=f"{plot.figure.layout.height}px",
    )
    return Markup(html)
