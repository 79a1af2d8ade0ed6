"""Studies without a service, trained to their ends by random curves: which trials end as whole trainings."""

import math
from typing import Any

import optuna
from hypothesis import example, given, settings
from hypothesis import strategies as st
from optuna.storages import InMemoryStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial

from service.pruning.finalists import FINALIST, rung_values
from service.pruning.promotion import Promotion, promotion_of
from service.sampling.ask import ServiceStudy
from service.schemas.study.definition import Definition

N_EPOCHS = 6
VALUES = st.sampled_from([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, math.nan])
CURVES = st.lists(st.lists(VALUES, min_size=N_EPOCHS, max_size=N_EPOCHS), min_size=1, max_size=9)


def definition(n_finalists: int, factor: float, direction: str) -> Definition:
    pruner = {"name": "successive_halving", "min_resource": 1, "reduction_factor": factor, "rung_factor": 1.6}
    return Definition.model_validate(
        {
            "name": "finalists",
            "objectives": [{"metric": "validation_accuracy", "direction": direction}],
            "search_space": {"learning_rate": {"type": "float", "low": 0.1, "high": 1.0}},
            "training": {"dataset": "digits", "model": "mlp", "epochs": N_EPOCHS},
            "pruner": {**pruner, "promote": True, "n_finalists": n_finalists},
            "n_trials": 9,
        }
    )


class Search:
    """Trains one trial at a time, epoch by epoch, as a service with one worker does."""

    def __init__(self, curves: list[list[float]], restarts: set[int], **options: Any) -> None:
        """`restarts` are the numbers of the epochs, of all trials together, after which the promotion is read anew."""
        self.definition = definition(**options)
        directions = [StudyDirection[options["direction"].upper()]]
        self.storage = InMemoryStorage()
        self.storage.create_new_study(directions, "finalists")
        self.study = ServiceStudy(
            "finalists", self.storage, optuna.samplers.RandomSampler(), optuna.pruners.NopPruner()
        )
        self.curves = curves
        self.restarts = restarts
        self.n_trained = 0
        self.promotion = self.loaded()

    def loaded(self) -> Promotion:
        promotion = promotion_of(self.study, self.definition)
        assert promotion is not None
        return promotion

    def run(self) -> list[FrozenTrial]:
        for _ in self.curves:
            self.play_promoted()
            self.study.add_trial(create_trial(state=TrialState.WAITING))
            self.train(self.study.trials[-1])
        self.play_promoted()
        while finalists := self.promotion.finalists():
            self.train(finalists[0])
            assert not self.promotion.promoted(), "the values of finalists count at no rung"
        return self.study.trials

    def play_promoted(self) -> None:
        while promoted := self.promotion.promoted():
            assert [one.number for one in self.loaded().promoted()] == [one.number for one in promoted]
            self.train(promoted[0])
        assert self.loaded().promoted() == []

    def train(self, trial: FrozenTrial) -> None:
        trial_id, curve = trial._trial_id, self.curves[trial.number]
        self.storage.set_trial_state_values(trial_id, TrialState.RUNNING)
        self.promotion.resume(trial)
        for step in range(len(trial.intermediate_values), N_EPOCHS):
            self.storage.set_trial_intermediate_value(trial_id, step, curve[step])
            self.n_trained += 1
            if self.n_trained in self.restarts:
                self.promotion = self.loaded()
            if step + 1 < N_EPOCHS and self.promotion.says_pause(self.storage.get_trial(trial_id), step, curve[step]):
                self.storage.set_trial_state_values(trial_id, TrialState.WAITING)
                self.promotion.pause(self.storage.get_trial(trial_id), step)
                return
        is_nan = math.isnan(curve[-1])
        state, values = (TrialState.FAIL, None) if is_nan else (TrialState.COMPLETE, curve[-1:])
        self.storage.set_trial_state_values(trial_id, state, values)


@settings(deadline=None, max_examples=60)
@given(
    curves=CURVES,
    restarts=st.sets(st.integers(1, 60)),
    n_finalists=st.integers(0, 4),
    factor=st.sampled_from([1.5, 2, 3]),
    direction=st.sampled_from(["maximize", "minimize"]),
)
@example(
    curves=[[0.1 * k] * N_EPOCHS for k in range(6)], restarts={3, 9}, n_finalists=3, factor=2, direction="minimize"
)
def test_the_best_of_a_study_are_whole_trainings(
    curves: list[list[float]], restarts: set[int], n_finalists: int, factor: float, direction: str
) -> None:
    options = {"n_finalists": n_finalists, "factor": factor, "direction": direction}
    trials = Search(curves, restarts, **options).run()

    assert [(one.state, one.system_attrs) for one in trials] == [
        (one.state, one.system_attrs) for one in Search(curves, set(), **options).run()
    ], "as without a restart"
    finalists = [one for one in trials if FINALIST in one.system_attrs]
    assert sum(one.state == TrialState.COMPLETE for one in finalists) <= n_finalists
    assert {one.state for one in trials} <= {TrialState.COMPLETE, TrialState.WAITING, TrialState.FAIL}
    n_complete = sum(one.state == TrialState.COMPLETE for one in trials)
    if any(one.state == TrialState.WAITING and not math.isnan(last_rung_value(one)) for one in trials):
        assert n_complete >= n_finalists, "a trial is left behind only if so many are whole"


def last_rung_value(trial: FrozenTrial) -> float:
    return [value for _, value in rung_values(trial)][-1]


def test_of_constant_curves_the_best_three_complete() -> None:
    curves = [[value] * N_EPOCHS for value in (0.1, 0.2, 0.6, 0.4, 0.5, 0.3)]
    trials = Search(curves, set(), n_finalists=3, factor=1.5, direction="maximize").run()
    assert {one.number for one in trials if one.state == TrialState.COMPLETE} >= {2, 3, 4}


def test_a_metric_that_gets_worse_brings_in_no_more_than_the_number_of_finalists() -> None:
    curves = [[0.1 * number] + [0.9] * (N_EPOCHS - 1) for number in range(8)]
    search = Search(curves, set(), n_finalists=2, factor=3, direction="minimize")
    trials = search.run()
    assert sum(FINALIST in one.system_attrs for one in trials) == 2
    assert [one.number for one in trials if FINALIST in one.system_attrs and one.state == TrialState.COMPLETE] != []


def test_a_study_that_gets_more_trials_gets_more_finalists() -> None:
    search = Search([[0.5] * N_EPOCHS, [0.4] * N_EPOCHS], set(), n_finalists=1, factor=3, direction="maximize")
    assert [one.state.name for one in search.run()] == ["COMPLETE", "WAITING"]

    search.curves += [[0.6] * N_EPOCHS]
    search.study.add_trial(create_trial(state=TrialState.WAITING))
    search.train(search.study.trials[-1])
    assert [one.number for one in search.promotion.finalists()] == [2]
