"""Plots of how the trials learned: curves, gaps, and weights near zero."""

import math
from collections.abc import Iterator, Sequence

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from narrows.html_report.gather import Gathered
from narrows.html_report.plot import MARGIN, VERDICT_COLOURS, Plot, axis_range, styled
from service.schemas.diagnosis import TrialDiagnosis
from service.schemas.fields import Scalar
from service.schemas.results import Curves, Trial
from service.schemas.study.search_space import CategoricalParameter, is_number
from service.schemas.study.training import training_field

N_COLUMNS = 4
ROW_HEIGHT = 170
GAP_FIELDS = ("weight_decay", "dropout", "input_dropout", "l1_decay", "label_smoothing")
MAX_GAP_PLOTS = 4
NEAR_ZERO = 1e-3
"""Weights smaller than this are counted by the metric n_near_zero_weights."""

VALIDATION, TRAINING = "#1f5fae", "#d98a00"


def curve_plots(gathered: Gathered) -> Iterator[Plot]:
    """Yield the plots that the study has data for."""
    yield from _grid(gathered)
    yield from _gaps(gathered)
    yield from _weights(gathered)
    yield from _near_zero(gathered)


def _grid(gathered: Gathered) -> Iterator[Plot]:
    names = (gathered.diagnosis.validation_metric, gathered.diagnosis.train_metric)
    drawn = [trial for trial in gathered.best if _has_any(gathered.curves.get(trial.number), names)]
    if not drawn:
        return
    n_columns = min(N_COLUMNS, len(drawn))
    n_rows = -(-len(drawn) // n_columns)
    figure = make_subplots(
        n_rows,
        n_columns,
        shared_xaxes="all",
        shared_yaxes="all",
        subplot_titles=[_heading(gathered, trial) for trial in drawn],
        horizontal_spacing=0.025,
        vertical_spacing=min(0.2, 0.26 / n_rows),
    )
    for index, trial in enumerate(drawn):
        place = {"row": index // n_columns + 1, "col": index % n_columns + 1}
        for name, colour, dash in zip(names, (VALIDATION, TRAINING), ("solid", "dash"), strict=True):
            line = _line(gathered.curves[trial.number], name, colour, dash)
            if line is not None:
                figure.add_trace(line.update(showlegend=index == 0), **place)
    figure.update_annotations(font_size=12)
    legend = {"orientation": "h", "y": 1, "yref": "container", "yanchor": "top", "x": 0}
    styled(figure, 110 + ROW_HEIGHT * n_rows, legend=legend, margin={"l": 50, "r": 16, "t": 76, "b": 40})
    note = f"{names[0]} solid, {names[1]} dashed, by epoch; best trial first, all on the same scale."
    yield Plot(
        f"Curves of the best {len(drawn)} trials" if len(drawn) > 1 else "Curves of the best trial", figure, note
    )


def _has_any(curves: Curves | None, names: Sequence[str]) -> bool:
    return curves is not None and any(name in curves.metrics for name in names)


def _heading(gathered: Gathered, trial: Trial) -> str:
    verdict = next((judged.verdict for judged in gathered.diagnosis.trials if judged.number == trial.number), None)
    value = f"{trial.values[0]:.4g}" if trial.values else ""
    shown = "" if verdict in (None, "healthy", "unclear") else f" · {verdict}"
    return f"#{trial.number} · {value}{shown}"


def _line(curves: Curves, name: str, colour: str, dash: str) -> go.Scatter | None:
    if name not in curves.metrics:
        return None
    values = [value if value is not None and math.isfinite(value) else None for value in curves.metrics[name]]
    mode = "lines" if len(values) > 1 else "markers"
    return go.Scatter(
        x=curves.steps,
        y=values,
        name=name,
        legendgroup=name,
        mode=mode,
        line={"color": colour, "dash": dash, "width": 2},
    )


def _gaps(gathered: Gathered) -> Iterator[Plot]:
    searched = gathered.study.definition.search_space.items()
    ranges = {
        name: parameter
        for name, parameter in searched
        if training_field(name) in GAP_FIELDS and not isinstance(parameter, CategoricalParameter)
    }
    names = list(ranges)[:MAX_GAP_PLOTS]
    params = {trial.number: trial.params for trial in gathered.trials}
    judged = [one for one in gathered.diagnosis.trials if one.gap is not None]
    if not names or not judged:
        return
    figure = make_subplots(1, len(names), shared_yaxes=True, horizontal_spacing=0.03)
    for column, name in enumerate(names, 1):
        for verdict in VERDICT_COLOURS:
            points = [one for one in judged if one.verdict == verdict and is_number(params[one.number].get(name))]
            if points:
                marks = _points(points, [params[one.number][name] for one in points], verdict)
                figure.add_trace(marks.update(showlegend=column == 1), row=1, col=column)
        kind, ends = axis_range(ranges[name])
        figure.update_xaxes(title_text=name, type=kind, range=ends, row=1, col=column)
    figure.update_yaxes(title_text="gap at the end", row=1, col=1)
    legend = {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0}
    note = (
        f"How much better {gathered.diagnosis.train_metric} is than {gathered.diagnosis.validation_metric} "
        "when a trial ends, against the regularization that reduces the difference."
    )
    yield Plot("Gap against regularization", styled(figure, 420, legend=legend, margin={**MARGIN, "t": 48}), note)


def _points(points: Sequence[TrialDiagnosis], values: Sequence[Scalar], verdict: str) -> go.Scatter:
    return go.Scatter(
        x=values,
        y=[one.gap for one in points],
        mode="markers",
        name=verdict,
        legendgroup=verdict,
        marker={"color": VERDICT_COLOURS[verdict], "size": 8, "opacity": 0.75},
        text=[f"#{one.number}" for one in points],
        hovertemplate="%{text}<br>%{x:.3g}, gap %{y:.3g}",
    )


def _weights(gathered: Gathered) -> Iterator[Plot]:
    if not gathered.weights:
        return
    figure = go.Figure()
    for number, histogram in gathered.weights.items():
        shares = [count / max(1, histogram.n_weights) for count in histogram.counts]
        figure.add_trace(
            go.Scatter(
                x=histogram.edges, y=[*shares, shares[-1]], name=f"#{number}", line={"shape": "hv"}, mode="lines"
            )
        )
    figure.add_vline(x=NEAR_ZERO, line_dash="dot")
    place = {"x": math.log10(NEAR_ZERO), "y": 1, "yref": "paper", "xanchor": "right", "yanchor": "top", "xshift": -6}
    figure.add_annotation(text="near zero", showarrow=False, **place)
    figure.update_xaxes(type="log", title_text="size of a weight", dtick=1)
    figure.update_yaxes(title_text="share of the weights", tickformat=".0%")
    note = f"Weights of the linear and convolution layers of the best saved models; near zero is below {NEAR_ZERO:g}."
    yield Plot("Weights near zero", styled(figure, 400), note)


def _near_zero(gathered: Gathered) -> Iterator[Plot]:
    shares = {
        f"#{trial.number}": trial.metrics["n_near_zero_weights"] / trial.metrics["n_parameters"]
        for trial in gathered.best
        if "n_near_zero_weights" in trial.metrics and trial.metrics.get("n_parameters", 0) > 0
    }
    if not shares:
        return
    figure = go.Figure(go.Bar(x=list(shares), y=list(shares.values()), marker_color=VALIDATION, width=0.6))
    figure.update_xaxes(title_text="trial, best first", type="category")
    figure.update_yaxes(title_text="share of the parameters", tickformat=".1%", rangemode="tozero")
    note = f"Share of the parameters smaller than {NEAR_ZERO:g} in the best trials: the larger, the sparser the model."
    yield Plot("Share of weights near zero", styled(figure, 340), note)
