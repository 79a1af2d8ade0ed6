"""Plots of how the search went, by Optuna's visualization."""

import math
import warnings
from collections.abc import Callable, Iterator, Sequence

import optuna
import plotly.graph_objects as go
from optuna import visualization
from optuna.exceptions import ExperimentalWarning
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from narrows.html_report.gather import Gathered
from narrows.html_report.plot import Plot, styled
from service.client.optuna_copy import read_only_study
from service.schemas.diagnosis import HUGE
from service.schemas.optuna import OptunaStudy

MAX_CONTOUR_PARAMS = 4
MAX_CONTOUR_TRIALS = 150
"""A contour plot has a number for each pair of values that two parameters had in any trials."""
MAX_LINES = 500
"""Plotly takes milliseconds for each line of a parallel coordinate plot, and more lines than this hide one another."""
MAX_PARAMS = 12
N_TIMELINE = 200
MAX_POINTS = 1000
SLICE_WIDTH = 200
MAX_SLICES = 5
"""With more parameters than this, the slices stand in one wide row that scrolls."""

Target = Callable[[FrozenTrial], float]


def search_plots(gathered: Gathered) -> Iterator[Plot]:
    """Yield those of Optuna's plots that the study has trials for."""
    study = gathered.as_optuna
    metric = gathered.study.definition.objectives[0].metric
    finite = [trial for trial in study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)) if _is_finite(trial)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        if gathered.has_several_objectives:
            yield from _fronts(study, gathered, finite)
        if finite:
            yield from _histories(study, gathered)
            yield from _importances(gathered)
            yield from _of_parameters(study, metric, finite, _value(0) if gathered.has_several_objectives else None)
            yield from _distribution(gathered, metric)
        newest = study.get_trials(deepcopy=False)[-N_TIMELINE:]
        if any(trial.datetime_start is not None for trial in newest):
            timeline = visualization.plot_timeline(_of(study, newest))  # which copies all trials of its study
            note = "When each trial ran, and how it ended."
            yield Plot("Timeline", styled(timeline, showlegend=True), note)


def _fronts(study: optuna.Study, gathered: Gathered, finite: Sequence[FrozenTrial]) -> Iterator[Plot]:
    names = [objective.metric for objective in gathered.study.definition.objectives]
    if finite and len(names) <= 3:
        figure = visualization.plot_pareto_front(study, target_names=names)
        yield Plot("Pareto front", styled(figure, 520), "Trials that no other trial beats in every objective are red.")


def _histories(study: optuna.Study, gathered: Gathered) -> Iterator[Plot]:
    names = [objective.metric for objective in gathered.study.definition.objectives]
    for index, name in enumerate(names):
        if gathered.draws_part:
            title = "Optimization history" if len(names) == 1 else f"Optimization history of {name}"
            yield Plot(title, _history(gathered, index), "Objective values, and the best value so far of all trials.")
            continue
        target = _value(index) if gathered.has_several_objectives else None
        figure = visualization.plot_optimization_history(study, target=target, target_name=name)
        title = "Optimization history" if len(names) == 1 else f"Optimization history of {name}"
        yield Plot(title, styled(figure), "The objective value of each complete trial.")
    if any(trial.intermediate_values for trial in study.get_trials(deepcopy=False)):
        figure = visualization.plot_intermediate_values(study)
        figure.update_traces(mode="lines", opacity=0.6, line_width=1.2)
        styled(figure, 460, showlegend=False, xaxis_title="epoch", yaxis_title=names[0])
        note = f"{names[0]} by epoch of {_n_drawn(study)} trials; those that end early were pruned or stopped."
        yield Plot("Intermediate values", figure, note)


def _history(gathered: Gathered, index: int) -> go.Figure:
    """Return the values of the drawn trials by number, with the best value so far; Optuna's plot takes no gaps."""
    objective = gathered.study.definition.objectives[index]
    better = max if objective.direction == "maximize" else min
    drawn = {trial.number for trial in gathered.as_optuna.get_trials(deepcopy=False)}
    points: list[tuple[int, float, float]] = []
    best: float | None = None
    for trial in gathered.trials:
        value = None if trial.values is None else trial.values[index]
        if value is not None and abs(value) <= HUGE:
            best = value if best is None else better(best, value)
            points += [(trial.number, value, best)] if trial.number in drawn else []
    numbers = [number for number, _, _ in points]
    values = go.Scatter(x=numbers, y=[value for _, value, _ in points], mode="markers", name="objective value")
    line = go.Scatter(x=numbers, y=[best for _, _, best in points], mode="lines", name="best value")
    return styled(go.Figure([values, line]), xaxis_title="trial", yaxis_title=objective.metric)


def _of_parameters(
    study: optuna.Study, metric: str, finite: Sequence[FrozenTrial], target: Target | None
) -> Iterator[Plot]:
    params = list(dict.fromkeys(name for trial in finite for name in trial.params))[:MAX_PARAMS]
    if not params:
        return
    sliced = visualization.plot_slice(study, params=params, target=target, target_name=metric)
    width = SLICE_WIDTH * len(params) if len(params) > MAX_SLICES else None
    note = f"{metric} against each parameter; the trials that stand out most came last."
    yield Plot("Slice", styled(sliced, 400, width=width), note, has_ramp=True)
    if len(params) < 2:
        return
    few, of = _spread(finite, MAX_LINES)
    parallel = visualization.plot_parallel_coordinate(_of(study, few), params=params, target=target, target_name=metric)
    styled(parallel, 440, margin={"l": 90, "r": 60, "t": 36, "b": 48})
    yield Plot("Parallel coordinates", parallel, f"Each line is a trial{of}.", has_ramp=True)
    varied = [name for name in params if len({trial.params.get(name) for trial in finite}) > 1]
    if 2 <= len(varied) <= MAX_CONTOUR_PARAMS:
        few, of = _spread(finite, MAX_CONTOUR_TRIALS)
        contour = visualization.plot_contour(_of(study, few), params=varied, target=target, target_name=metric)
        note = f"{metric} over each pair of parameters{of}."
        yield Plot("Contour", styled(contour, 300 + 160 * len(varied)), note)


def _spread(trials: Sequence[FrozenTrial], limit: int) -> tuple[Sequence[FrozenTrial], str]:
    """Return the trials, or `limit` of more that are evenly spread over them, and words for a note that tells this."""
    if len(trials) <= limit:
        return trials, ""
    return [trials[index * len(trials) // limit] for index in range(limit)], f", of {limit} trials"


def _of(study: optuna.Study, trials: Sequence[FrozenTrial]) -> optuna.Study:
    """Return a study that consists of some of the trials."""
    directions = ["maximize" if one == StudyDirection.MAXIMIZE else "minimize" for one in study.directions]
    names = [f"value {index}" for index in range(len(directions))]
    about = OptunaStudy(study_name=study.study_name, directions=directions, metric_names=names, user_attrs={})
    return read_only_study(about, trials)


def _importances(gathered: Gathered) -> Iterator[Plot]:
    """Yield a bar for the share of each parameter, as the service states it."""
    found = gathered.importance
    if found is None or not found.importances:
        return
    shares = list(found.importances.items())[::-1]
    texts = [f"{share:.2f}" if share >= 0.01 else "<0.01" for _, share in shares]
    bars = go.Bar(x=[share for _, share in shares], y=[name for name, _ in shares], orientation="h", text=texts)
    figure = styled(go.Figure(bars), 200 + 36 * len(shares), xaxis_title="importance", yaxis_automargin=True)
    note = f"How much each parameter decides whether {found.metric} is good."
    yield Plot("Parameter importances", figure, f"{note} {found.note}." if found.note else note)


def _distribution(gathered: Gathered, metric: str) -> Iterator[Plot]:
    """Yield the distribution of the values of all complete trials, drawn or not."""
    values = sorted(value for trial in gathered.trials for value in (trial.values or ())[:1] if abs(value) <= HUGE)
    if not values:
        return
    kept = sorted({*range(0, len(values), -(-len(values) // MAX_POINTS)), len(values) - 1})
    line = go.Scatter(
        x=[values[index] for index in kept], y=[(index + 1) / len(values) for index in kept], line_shape="hv"
    )
    figure = styled(go.Figure(line), showlegend=False, xaxis_title=metric, yaxis_title="share of trials")
    note = f"Share of the complete trials whose {metric} is at most the value on the axis."
    yield Plot("Empirical distribution", figure, note)


def _is_finite(trial: FrozenTrial) -> bool:
    return all(map(math.isfinite, trial.values))


def _n_drawn(study: optuna.Study) -> int:
    return sum(bool(trial.intermediate_values) for trial in study.get_trials(deepcopy=False))


def _value(index: int) -> Target:
    """Return a function that returns the value of one objective of a trial."""
    return lambda trial: float(trial.values[index])
