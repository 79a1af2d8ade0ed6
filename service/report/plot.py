from dataclasses import dataclass

import plotly.graph_objects as go

VERDICT_COLOURS = {
    "healthy": "#2a9d60",
    "overfitting": "#d98a00",
    "underfitting": "#2b7bba",
    "diverged": "#c0392b",
    "unclear": "#98a2ae",
}
FONT = {"family": "system-ui, -apple-system, 'Segoe UI', sans-serif", "size": 13, "color": "#27313c"}
MARGIN = {"l": 60, "r": 24, "t": 20, "b": 48}
COLOURS = ("#1f5fae", "#d98a00", "#2a9d60", "#8e5bb5", "#c0392b", "#3aa6b9", "#8a6d3b", "#5a6673")


@dataclass(frozen=True)
class Plot:
    """A figure with its heading, and a line that says how to read it."""

    title: str
    figure: go.Figure
    note: str = ""


def styled(figure: go.Figure, height: int = 420, **layout: object) -> go.Figure:
    """The look that all figures share; a heading in the page takes the place of the figure's title."""
    figure.update_layout(template="plotly_white", font=FONT, height=height, title=None, margin=MARGIN)
    figure.update_layout(colorway=COLOURS)
    figure.update_layout(**layout)
    figure.update_xaxes(exponentformat="power")
    figure.update_yaxes(exponentformat="power")
    return figure
