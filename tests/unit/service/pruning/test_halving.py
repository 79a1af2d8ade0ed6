"""Successive halving and Hyperband decide as Optuna's own pruners, at the same cost however many trials there are."""

from collections.abc import Callable
from typing import Any, Literal

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna import Trial
from optuna.pruners import BasePruner, HyperbandPruner, SuccessiveHalvingPruner

from service.pruning.halving import IndexedHalving, IndexedHyperband
from tests.work import n_calls

Direction = Literal["maximize", "minimize"]
PAIRS: dict[str, tuple[Callable[..., BasePruner], Callable[..., BasePruner], dict[str, Any]]] = {
    "halving": (SuccessiveHalvingPruner, IndexedHalving, {"min_resource": 1, "reduction_factor": 2}),
    "halving with auto": (SuccessiveHalvingPruner, IndexedHalving, {"reduction_factor": 3}),
    "halving from a later rung": (
        SuccessiveHalvingPruner,
        IndexedHalving,
        {"min_resource": 1, "min_early_stopping_rate": 1, "reduction_factor": 2},
    ),
    "halving with bootstrap": (SuccessiveHalvingPruner, IndexedHalving, {"min_resource": 2, "bootstrap_count": 2}),
    "hyperband": (HyperbandPruner, IndexedHyperband, {"max_resource": 8, "reduction_factor": 2}),
    "hyperband with auto": (HyperbandPruner, IndexedHyperband, {"reduction_factor": 2}),
    "hyperband with bootstrap": (HyperbandPruner, IndexedHyperband, {"max_resource": 8, "bootstrap_count": 1}),
}
VALUES = st.one_of(st.integers(0, 5).map(float), st.sampled_from([float("nan"), float("inf"), float("-inf")]))
REPORTS = st.lists(
    st.tuples(st.integers(0, 5), st.integers(0, 40), VALUES), max_size=40, unique_by=lambda report: report[:2]
)
"""The trial that reports, the step and the value. Every second trial completes after its last report."""


class Search:
    """Trials of one study that report side by side."""

    def __init__(self, pruner: BasePruner, direction: Direction) -> None:
        self.study = optuna.create_study(study_name="a", direction=direction, pruner=pruner)
        self.trials: list[Trial] = []

    def report(self, number: int, step: int, value: float) -> bool:
        while len(self.trials) <= number:
            self.trials.append(self.study.ask())
        trial = self.trials[number]
        trial.report(value, step)
        return trial.should_prune()

    def complete(self, number: int) -> None:
        self.study.tell(self.trials[number], 0.0, skip_if_finished=True)

    def rungs(self) -> list[dict[str, Any]]:
        return [trial.system_attrs for trial in self.study.get_trials(deepcopy=False)]


@pytest.mark.parametrize("name", PAIRS)
@given(reports=REPORTS, direction=st.sampled_from(["maximize", "minimize"]), restart_at=st.integers(0, 40))
@settings(deadline=None, max_examples=60)
def test_each_decides_as_optunas_own(
    name: str, reports: list[tuple[int, int, float]], direction: Direction, restart_at: int
) -> None:
    """Also after a restart of the service, with the values that the trials have saved."""
    theirs, ours, options = PAIRS[name]
    expected, found = Search(theirs(**options), direction), Search(ours(**options), direction)
    last = {number: index for index, (number, _, _) in enumerate(reports)}
    for index, (number, step, value) in enumerate(reports):
        if index == restart_at and "auto" not in name:  # which is estimated anew
            found.study.pruner = ours(**options)
        assert found.report(number, step, value) == expected.report(number, step, value)
        if last[number] == index and number % 2:
            found.complete(number)
            expected.complete(number)
    assert found.rungs() == expected.rungs()


def calls_of_a_report(pruner: BasePruner, n_trials: int) -> int:
    """The work of a report that reaches many rungs, in a study of which many trials have reached them."""
    search = Search(pruner, "maximize")
    for number in range(n_trials):
        search.report(number, 2**20, 0.5)
    trial = search.study.ask()
    trial.report(0.5, 2**20)
    (frozen,) = [known for known in search.study.get_trials() if known.number == trial.number]
    return n_calls(lambda: pruner.prune(search.study, frozen))


@pytest.mark.parametrize("pruner", [IndexedHalving, IndexedHyperband])
def test_a_report_takes_the_same_time_however_many_trials_there_are(pruner: Callable[..., BasePruner]) -> None:
    options = {"min_resource": 1, "reduction_factor": 2} | ({"max_resource": 2} if pruner is IndexedHyperband else {})
    few, many = (calls_of_a_report(pruner(**options), n_trials) for n_trials in (10, 200))
    assert many < 2 * few
