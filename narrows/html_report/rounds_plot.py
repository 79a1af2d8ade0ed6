"""The plot of the ranges that each round of a narrowing study sampled from."""

from collections.abc import Iterator, Mapping, Sequence

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from narrows.html_report.plot import MARGIN, Plot, styled
from service.schemas.rounds import Range, Round
from service.schemas.study.search_space import Parameter

N_COLUMNS = 3
BAR = "#1f5fae"


def rounds_plot(rounds: Sequence[Round], space: Mapping[str, Parameter]) -> Iterator[Plot]:
    """Yield a plot with a bar for each round, from the low to the high end of each range; nothing without rounds."""
    names = list(dict.fromkeys(name for stage in rounds for name in stage.ranges))
    if not names:
        return
    n_columns = min(N_COLUMNS, len(names))
    n_rows = -(-len(names) // n_columns)
    figure = make_subplots(n_rows, n_columns, subplot_titles=names, horizontal_spacing=0.08)
    for index, name in enumerate(names):
        place = {"row": index // n_columns + 1, "col": index % n_columns + 1}
        having = [stage for stage in rounds if name in stage.ranges]
        figure.add_trace(_bars([stage.round for stage in having], [stage.ranges[name] for stage in having]), **place)
        figure.update_yaxes(type="log" if getattr(space.get(name), "log", False) else "linear", **place)
        figure.update_xaxes(title_text="round", type="category", **place)
    note = "The range that each round sampled from: it closes in on the best trials of the rounds before."
    styled(figure, 60 + 260 * n_rows, showlegend=False, margin={**MARGIN, "t": 40})
    yield Plot("Narrowing of the ranges", figure, note)


def _bars(rounds: Sequence[int], bounds: Sequence[Range]) -> go.Bar:
    return go.Bar(
        x=rounds,
        base=[ends.low for ends in bounds],
        y=[ends.high - ends.low for ends in bounds],
        marker_color=BAR,
        opacity=0.8,
        width=0.5,
        customdata=[[ends.low, ends.high] for ends in bounds],
        hovertemplate="round %{x}: %{customdata[0]:.3g} to %{customdata[1]:.3g}<extra></extra>",
    )
