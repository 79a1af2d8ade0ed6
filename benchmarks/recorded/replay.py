"""A search whose trainings are looked up: it counts the epochs until a target accuracy is reached.

Trials are sampled, pruned, paused and promoted by the code of the service.
"""

import math
from dataclasses import dataclass

from optuna.pruners import BasePruner
from optuna.samplers import BaseSampler
from optuna.storages import InMemoryStorage
from optuna.study import StudyDirection
from optuna.trial import TrialState

from benchmarks.recorded.table import Table
from service.pruning.ask import should_prune
from service.pruning.promotion import Promotion, promotion_of
from service.sampling.ask import ServiceStudy, suggest, tell
from service.sampling.overlay_storage import OverlayStorage
from service.sampling.paused import as_sampled
from service.schemas.study.definition import Definition

N_WORKERS = 4
"""Trials that train at the same time, one epoch at a time in turn."""


@dataclass(frozen=True)
class Searched:
    """The result of a search.

    `epochs` is the number of epochs that all trials, unfinished ones included, had trained when a complete trial
    reached the target; None if the budget was used up first. `best` is the best value of a complete trial at that
    moment.
    """

    epochs: int | None
    best: float


@dataclass
class _Running:
    trial_id: int
    number: int
    curve: list[float]
    step: int = 0


def search(
    table: Table,
    definition: Definition,
    sampler: BaseSampler,
    pruner: BasePruner,
    target: float,
    budget: int,
    n_spare: int = 0,
) -> Searched:
    """Ask, report, prune and promote as the service does, until a complete trial reaches `target` or `budget` epochs.

    `n_spare` more trials are claimed in advance: their parameters are sampled before they can train.

    The study has the definition's name, because hyperband assigns trials to brackets by the name.
    """
    replayed = _Replay(table, definition, sampler, pruner)
    running: list[_Running] = []
    spare: list[_Running] = []
    spent = 0
    while spent < budget:
        if len(spare) < n_spare + (len(running) < N_WORKERS):
            spare.append(replayed.next_trial())
            continue
        if len(running) < N_WORKERS:
            running.append(spare.pop(0))
            continue
        one = running.pop(0)
        spent += 1
        if replayed.goes_on(one):
            running.append(one)
        elif replayed.best >= target:
            return Searched(spent, replayed.best)
    return Searched(None, replayed.best)


class _Replay:
    """A study in memory with the service's sampling and pruning. Recorded trainings take the place of workers."""

    def __init__(self, table: Table, definition: Definition, sampler: BaseSampler, pruner: BasePruner) -> None:
        self.best = -math.inf
        self._table = table
        self._definition = definition
        self._storage = InMemoryStorage()
        self._storage.create_new_study([StudyDirection.MAXIMIZE], definition.name)
        self._study = ServiceStudy(definition.name, self._storage, sampler, pruner)
        self._promotion: Promotion | None = promotion_of(self._study, definition)
        self._paused: dict[int, _Running] = {}

    def next_trial(self) -> _Running:
        """Return a promoted trial, or else a new one."""
        if self._promotion is not None and (promoted := self._promotion.promoted()):
            trial = promoted[0]
            self._storage.set_trial_state_values(trial._trial_id, TrialState.RUNNING)
            self._promotion.resume(trial)
            return self._paused.pop(trial.number)
        shadow = OverlayStorage(self._storage, self._study._study_id, [], seen=as_sampled)
        view = ServiceStudy(self._study.study_name, shadow, self._study.sampler, self._study.pruner)
        params = suggest(view, shadow.trial._trial_id, self._definition.search_space)
        trial_id = self._storage.create_new_trial(self._study._study_id, template_trial=shadow.trial)
        return _Running(trial_id, shadow.trial.number, self._table.curve(params))

    def goes_on(self, one: _Running) -> bool:
        """Train one epoch of a trial and return whether it continues now."""
        value = one.curve[one.step]
        if math.isnan(value):
            tell(self._study, one.number, TrialState.FAIL, None)
            return False
        self._storage.set_trial_intermediate_value(one.trial_id, one.step, value)
        one.step += 1
        if one.step == len(one.curve):
            tell(self._study, one.number, TrialState.COMPLETE, [value])
            self.best = max(self.best, value)
            return False
        if self._promotion is not None:
            return not self._pauses(self._promotion, one, value)
        if should_prune(self._study, self._storage.get_trial(one.trial_id)):
            tell(self._study, one.number, TrialState.PRUNED, None)
            return False
        return True

    def _pauses(self, promotion: Promotion, one: _Running, value: float) -> bool:
        trial, step = self._storage.get_trial(one.trial_id), one.step - 1
        if not promotion.says_pause(trial, step, value):
            return False
        self._storage.set_trial_state_values(one.trial_id, TrialState.WAITING)
        promotion.pause(trial, step)
        self._paused[one.number] = one
        return True
