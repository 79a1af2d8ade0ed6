"""The look that all plots of the page share."""

import math
from dataclasses import dataclass

import plotly.graph_objects as go

from service.schemas.study.search_space import FloatParameter, IntParameter

# As in tokens.css of the pages.
VERDICT_COLOURS = {
    "healthy": "#2a9d60",
    "overfitting": "#d98a00",
    "underfitting": "#2b7bba",
    "diverged": "#c0392b",
    "unclear": "#98a2ae",
}
FONT = {"family": "system-ui, -apple-system, 'Segoe UI', sans-serif", "size": 13, "color": "#27313c"}
CLEAR = "rgba(0, 0, 0, 0)"
WIDE_DECADES = 2.0
ROOM = 0.04
MARGIN = {"l": 60, "r": 24, "t": 20, "b": 48}
COLOURS = ("#1f5fae", "#d98a00", "#2a9d60", "#8e5bb5", "#c0392b", "#3aa6b9", "#8a6d3b", "#5a6673")


@dataclass(frozen=True)
class Plot:
    """A figure with its heading and a line on how to read it. With `has_ramp`, the darkest marks matter the most."""

    title: str
    figure: go.Figure
    note: str = ""
    has_ramp: bool = False


def styled(figure: go.Figure, height: int = 420, **layout: object) -> go.Figure:
    """Give a figure the common look, and return it. It loses its title, because the page has a heading for it."""
    figure.update_layout(template="plotly_white", font=FONT, height=height, title=None, margin=MARGIN)
    figure.update_layout(colorway=COLOURS, paper_bgcolor=CLEAR, plot_bgcolor=CLEAR)
    figure.update_layout(**layout)
    figure.for_each_xaxis(_in_powers)
    figure.for_each_yaxis(_in_powers)
    return figure


def _in_powers(axis: go.layout.XAxis | go.layout.YAxis) -> None:
    """Put the ticks of a log axis at powers of ten, if its range has at least two of them."""
    if axis.type == "log":
        axis.exponentformat = "power"
        if axis.range is not None and axis.range[1] - axis.range[0] >= WIDE_DECADES:
            axis.dtick = 1


def axis_range(parameter: FloatParameter | IntParameter) -> tuple[str, list[float]]:
    """Return type and range of an axis that shows a parameter's whole range, with some room at both ends."""
    ends = [float(parameter.low), float(parameter.high)]
    kind, (low, high) = ("log", [math.log10(end) for end in ends]) if parameter.log else ("linear", ends)
    room = ROOM * (high - low)
    return kind, [low - room, high + room]
