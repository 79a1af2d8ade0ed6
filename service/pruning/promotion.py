"""Trials that pause at a rung, and go on from their checkpoints once they are promoted.

Plain successive halving prunes what is not among the best of its rung when it gets there, for good, although it would
be among them once more trials have come. With `promote` such a trial waits instead:

1. A lease names the steps of the trial's rungs. After the report of one the worker waits for the decision before it
   trains on, so that what it keeps is the state at the rung.
2. At a rung the service notes the value as Optuna's own pruner does (`completed_rung_k` of the trial). Is the trial
   among the best ⌊n / reduction_factor⌋ of the rung now, the decision is to continue, else to pause.
   A trial that is told to pause and reports again under the same lease is told the same, whatever it reports.
3. To pause, the worker uploads the checkpoint under its lease, which stays open meanwhile, and then ends the lease by
   `pause`. A worker that dies before that loses the lease as ever, and the trial is tried again; is the checkpoint
   there already, it pauses all the same, even if no attempt is left. A worker that cannot upload it for now releases
   the trial. Without a checkpoint of the rung (code that keeps none) the trial is pruned. One from beyond the rung
   will do as well: the trial pauses at the rung that it was told to pause at, and once it is promoted its later rungs
   count from its next report.
4. A paused trial is WAITING in Optuna's tables, beside its checkpoint, and `narrows:paused_at_rung` says where: all of
   it is in the database, in one transaction with the end of the lease. No attempt is counted.
5. A claim is given, in this order: trials to be tried again; paused ones that have come to be among the best of their
   rung, from the highest rung first; what users have enqueued; new ones. The lease says where to resume.
6. When no trial is left to train, or the study ends early, the paused ones become PRUNED with their last value, and
   their checkpoints are removed. So does one that was told to pause when its lease ends after that, however it does,
   unless it fails for good or completes.

Samplers take a paused trial for a pruned one, as they would without `promote`. Stock readers see it WAITING, with its
parameters and intermediate values.
"""

from collections.abc import Iterator, Sequence

from optuna import Study
from optuna.pruners import HyperbandPruner
from optuna.trial import FrozenTrial

from service.pruning.rungs import MAX_EPOCHS, Rungs
from service.sampling.paused import PAUSED, paused_at
from service.schemas.study.definition import Definition
from service.schemas.study.pruners import Hyperband, SuccessiveHalving
from storage import RUNG_ATTR_PREFIX, bracket_of_trial, count_brackets, storage_of, study_id_of, trial_id_of


def promotion_of(study: Study, definition: Definition) -> "Promotion | None":
    """None where trials are not paused."""
    pruner = definition.pruner
    if not (isinstance(pruner, SuccessiveHalving | Hyperband) and pruner.promote):
        return None
    return Promotion(study, pruner, maximize=definition.objectives[0].direction == "maximize")


class Promotion:
    """The rungs of a study, and the trials that are paused at them. Its caller holds the study's lock."""

    def __init__(self, study: Study, pruner: SuccessiveHalving | Hyperband, *, maximize: bool) -> None:
        self._study = study
        self._storage = storage_of(study)
        self._brackets = Brackets(study, pruner, maximize=maximize)
        self._paused: dict[int, int] = {}
        for trial in study.get_trials(deepcopy=False):
            for rung, value in _values(trial):
                self._brackets.of(trial).add(rung, trial.number, value)
            at = paused_at(trial)
            if at is not None:
                self._paused[trial.number] = at

    def steps(self, trial: FrozenTrial) -> list[int]:
        """The steps, counted from 0, after which a trial has reached each of its rungs."""
        return [epochs - 1 for epochs in self._brackets.of(trial).epochs()]

    def says_pause(self, trial: FrozenTrial, step: int, value: float) -> bool | None:
        """Whether a trial that reports at a step is to pause; None when it has reached no rung by this report."""
        rungs = self._brackets.of(trial)
        known = dict(_values(trial))
        reached = None
        for rung, last_step in enumerate(self._steps_up_to(trial, step)):
            if rung not in known or last_step == step:  # else it reported there before
                self._storage.set_trial_system_attr(trial_id_of(trial), f"{RUNG_ATTR_PREFIX}{rung}", value)
                rungs.add(rung, trial.number, value)
                reached = rung
        return None if reached is None else not rungs.is_top(reached, trial.number)

    def pause(self, trial: FrozenTrial, step: int) -> int:
        """Note that a trial, which is WAITING after a step, is paused at the rung that it has reached; which one."""
        rung = len(self._steps_up_to(trial, step)) - 1
        self._storage.set_trial_system_attr(trial_id_of(trial), PAUSED, rung)
        self._paused[trial.number] = rung
        return rung

    def _steps_up_to(self, trial: FrozenTrial, step: int) -> list[int]:
        return [last_step for last_step in self.steps(trial) if last_step <= step]

    def resume(self, trial: FrozenTrial) -> None:
        """Note that a trial goes on."""
        if self._paused.pop(trial.number, None) is not None:
            self._storage.set_trial_system_attr(trial_id_of(trial), PAUSED, None)

    def paused(self) -> list[FrozenTrial]:
        """All that are paused, by number."""
        return self._waiting(sorted(self._paused))

    def is_paused(self, number: int) -> bool:
        return number in self._paused

    def promoted(self) -> list[FrozenTrial]:
        """Those that may go on now, the highest rung first, and the best first in each."""
        if not self._paused:
            return []
        tops = self._brackets.tops()
        return self._waiting([number for rung, top in tops for number in top if self._paused.get(number) == rung])

    def _waiting(self, numbers: Sequence[int]) -> list[FrozenTrial]:
        """Those of them that are still paused: another tool may have ended one."""
        storage, study_id = self._storage, study_id_of(self._study)
        ids = [storage.get_trial_id_from_study_id_trial_number(study_id, number) for number in numbers]
        found = [storage.get_trial(trial_id) for trial_id in ids]
        for trial in found:
            if paused_at(trial) is None:
                del self._paused[trial.number]
        return [trial for trial in found if trial.number in self._paused]


class Brackets:
    """One bracket of successive halving; with hyperband several, among which trials are divided as Optuna does it."""

    def __init__(self, study: Study, pruner: SuccessiveHalving | Hyperband, *, maximize: bool) -> None:
        self._study = study
        self._hyperband: HyperbandPruner | None = None
        rates = [0]
        if isinstance(pruner, SuccessiveHalving):
            rates = [pruner.min_early_stopping_rate]
        elif isinstance(study.pruner, HyperbandPruner):
            self._hyperband = study.pruner
            rates = list(range(count_brackets(study.pruner, study)))
        end = pruner.max_resource if isinstance(pruner, Hyperband) else MAX_EPOCHS
        assert isinstance(pruner.min_resource, int), "the definition has seen to it"
        assert isinstance(end, int), "the definition has seen to it"
        factor = pruner.reduction_factor
        self._rungs = [
            Rungs(pruner.min_resource * factor**rate, factor, maximize=maximize, end_epochs=end) for rate in rates
        ]

    def of(self, trial: FrozenTrial) -> Rungs:
        """The bracket of a trial, by its number."""
        if self._hyperband is None:
            return self._rungs[0]
        return self._rungs[bracket_of_trial(self._hyperband, self._study, trial)]

    def tops(self) -> Iterator[tuple[int, list[int]]]:
        """Every rung with the numbers of those that may go on from it, the highest one first."""
        known = [(rung, rungs) for rungs in self._rungs for rung in rungs.highest_first()]
        for rung, rungs in sorted(known, key=lambda pair: -pair[0]):
            yield rung, rungs.top(rung)


def _values(trial: FrozenTrial) -> Iterator[tuple[int, float]]:
    """A trial's values at its rungs, the first one first."""
    rung = 0
    while (value := trial.system_attrs.get(f"{RUNG_ATTR_PREFIX}{rung}")) is not None:
        yield rung, value
        rung += 1
