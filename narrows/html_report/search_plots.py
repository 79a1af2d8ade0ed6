"""Plots of how the search went, by Optuna's visualization."""

import math
import warnings
from collections.abc import Callable, Iterator, Sequence

import optuna
from optuna import visualization
from optuna.exceptions import ExperimentalWarning
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from narrows.html_report.gather import Gathered
from narrows.html_report.plot import Plot, styled

MAX_CONTOUR_PARAMS = 4
MAX_PARAMS = 12
N_TIMELINE = 200
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
        warnings.simplefilter("ignore", UserWarning)  # PED-ANOVA warns that it takes low values as good
        if gathered.has_several_objectives:
            yield from _fronts(study, gathered, finite)
        if finite:
            yield from _histories(study, gathered)
            yield from _of_parameters(study, metric, finite, _value(0) if gathered.has_several_objectives else None)
            yield _distribution(study, metric)
        if any(trial.datetime_start is not None for trial in study.get_trials(deepcopy=False)):
            timeline = visualization.plot_timeline(study, n_recent_trials=N_TIMELINE)
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


def _of_parameters(
    study: optuna.Study, metric: str, finite: Sequence[FrozenTrial], target: Target | None
) -> Iterator[Plot]:
    params = list(dict.fromkeys(name for trial in finite for name in trial.params))[:MAX_PARAMS]
    if not params:
        return
    if len({tuple(trial.values) for trial in finite}) > 1:
        low_is_good = None if target is None else _low_is_good(study)
        figure = visualization.plot_param_importances(study, target=low_is_good, target_name=metric)
        note = f"How much each parameter decides whether {metric} is among the best (PED-ANOVA)."
        yield Plot("Parameter importances", styled(figure, 200 + 36 * len(params)), note)
    sliced = visualization.plot_slice(study, params=params, target=target, target_name=metric)
    width = SLICE_WIDTH * len(params) if len(params) > MAX_SLICES else None
    yield Plot("Slice", styled(sliced, 400, width=width), f"{metric} against each parameter; darker trials came later.")
    if len(params) < 2:
        return
    parallel = visualization.plot_parallel_coordinate(study, params=params, target=target, target_name=metric)
    styled(parallel, 440, margin={"l": 90, "r": 60, "t": 36, "b": 48})
    yield Plot("Parallel coordinates", parallel, "Each line is a trial; drag along an axis to pick some.")
    varied = [name for name in params if len({trial.params.get(name) for trial in finite}) > 1]
    if 2 <= len(varied) <= MAX_CONTOUR_PARAMS:
        contour = visualization.plot_contour(study, params=varied, target=target, target_name=metric)
        yield Plot("Contour", styled(contour, 300 + 160 * len(varied)), f"{metric} over each pair of parameters.")


def _distribution(study: optuna.Study, metric: str) -> Plot:
    figure = visualization.plot_edf(study, target=_value(0), target_name=metric)
    note = f"Share of the complete trials whose {metric} is at most the value on the axis."
    return Plot("Empirical distribution", styled(figure, showlegend=False), note)


def _is_finite(trial: FrozenTrial) -> bool:
    return all(map(math.isfinite, trial.values))


def _n_drawn(study: optuna.Study) -> int:
    return sum(bool(trial.intermediate_values) for trial in study.get_trials(deepcopy=False))


def _low_is_good(study: optuna.Study) -> Target:
    """Return the first objective with its sign such that low values are good, as PED-ANOVA expects."""
    sign = -1 if study.directions[0] == StudyDirection.MAXIMIZE else 1
    return lambda trial: sign * float(trial.values[0])


def _value(index: int) -> Target:
    """Return a function that returns the value of one objective of a trial."""
    return lambda trial: float(trial.values[index])
