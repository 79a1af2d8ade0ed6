"""Trials that pause at a rung, and resume from their checkpoints once they are promoted.

Plain successive halving prunes a trial for good if it is not among the best when it reaches a rung, although it might
be among them after more trials have reached the rung. With `promote`, such a trial waits instead:

1. A lease names the steps of the trial's rungs. After the report of such a step, the worker waits for the decision
   before it goes on, so that its checkpoint is the state at the rung.
2. At a rung the service saves the value as Optuna's own pruner does, in the trial's attribute `completed_rung_k`. If
   the trial is among the best ⌊n / reduction_factor⌋ of its rung, the decision is `continue`; otherwise it is
   `pause`. If a trial that was told to pause reports again under the same lease, the decision is `pause` again.
3. To pause, the worker uploads the checkpoint under its lease, which stays open meanwhile, and then ends the lease
   with `pause`. If the worker dies before that, its lease expires and the trial is tried again. If the checkpoint was
   already uploaded, the trial pauses even if no attempt is left. A worker that cannot upload at the moment releases
   the trial. Without a checkpoint of the rung (code without checkpoints) the trial is pruned. A checkpoint from a
   later step is accepted: the trial is paused at the rung where it was told to pause, and once it is promoted its
   later rungs count from its next report.
4. A paused trial is WAITING in Optuna's tables, and its attribute `narrows:paused_at_rung` is the rung. Attribute,
   state and the end of the lease are committed in one transaction. A pause does not count as an attempt.
5. A claim is served in this order: trials to be tried again; paused trials that are among the best of their rung by
   now, from the highest rung first; trials that users have enqueued; new trials. The lease says where to resume.
6. When nothing else is left to start, the paused ones among the best `n_finalists` trials of the study go on
   (`finalists.py`), and never pause again.
7. When no trial is left to train, or the study ends early, the paused trials become PRUNED with their last value, and
   their checkpoints are removed. The same happens to a trial that was told to pause and whose lease ends after that,
   unless the trial completes or fails for good.

Samplers see a paused trial as a pruned one, as they would without `promote`. Stock Optuna sees it as WAITING, with
its parameters and intermediate values.
"""

from collections.abc import Sequence

from optuna import Study
from optuna.pruners import HyperbandPruner
from optuna.trial import FrozenTrial

from service.pruning.finalists import Finalists, rung_values
from service.pruning.rungs import MAX_EPOCHS, Rungs, next_rung
from service.sampling.paused import PAUSED, paused_at
from service.schemas.study.definition import Definition
from service.schemas.study.halving_pruners import Hyperband, SuccessiveHalving
from storage import RUNG_ATTR_PREFIX, bracket_of_trial, count_brackets, storage_of, study_id_of, trial_id_of


def promotion_of(study: Study, definition: Definition) -> "Promotion | None":
    """The promotion of a study; None if its trials are not paused."""
    pruner = definition.pruner
    if not (isinstance(pruner, SuccessiveHalving | Hyperband) and pruner.promote):
        return None
    return Promotion(study, pruner, maximize=definition.objectives[0].direction == "maximize")


class Promotion:
    """The rungs of a study, and the trials that are paused at them. The caller holds the study's lock."""

    def __init__(self, study: Study, pruner: SuccessiveHalving | Hyperband, *, maximize: bool) -> None:
        self._study = study
        self._storage = storage_of(study)
        self._brackets = Brackets(study, pruner, maximize=maximize)
        self._finalists = Finalists(study, pruner.n_finalists, maximize=maximize)
        self._paused: dict[int, int] = {}
        """By trial number, the rung at which it is paused."""
        self._promoted: dict[int, tuple[int, int, tuple[float, int]]] = {}
        """By number of a paused trial that may go on, its place in the order of promotion. A report changes few."""
        trials = study.get_trials(deepcopy=False)
        for trial in trials:
            for rung, value in rung_values(trial):
                self._brackets.of(trial).add(rung, trial.number, value)
        for trial in trials:
            at = paused_at(trial)
            if at is not None:
                self._paused[trial.number] = at
                self._look_again(self._brackets.number_of(trial), trial.number)

    def steps(self, trial: FrozenTrial) -> list[int]:
        """The step, from 0, at which a trial reaches each of its rungs. A finalist has no rungs any more."""
        if self._finalists.has(trial):
            return []
        return self._rung_steps(trial)

    def _rung_steps(self, trial: FrozenTrial) -> list[int]:
        return [epochs - 1 for epochs in self._brackets.of(trial).epochs()]

    def says_pause(self, trial: FrozenTrial, step: int, value: float) -> bool | None:
        """Whether a trial that reports at a step is to pause; None if this report reaches no rung.

        The values of finalists count at no rung: others are not promoted by them.
        """
        if self._finalists.has(trial):
            return None
        rungs = self._brackets.of(trial)
        known = dict(rung_values(trial))
        reached = None
        for rung, last_step in enumerate(self._steps_up_to(trial, step)):
            if rung not in known or last_step == step:  # otherwise an earlier report has reached this rung
                self._storage.set_trial_system_attr(trial_id_of(trial), f"{RUNG_ATTR_PREFIX}{rung}", value)
                for number in rungs.add(rung, trial.number, value):
                    self._look_again(self._brackets.number_of(trial), number)
                reached = rung
        return None if reached is None else not rungs.is_top(reached, trial.number)

    def pause(self, trial: FrozenTrial, step: int) -> int:
        """Mark a trial that is WAITING after a step as paused, and return the rung it has reached."""
        rung = len(self._steps_up_to(trial, step)) - 1
        self._storage.set_trial_system_attr(trial_id_of(trial), PAUSED, rung)
        self._paused[trial.number] = rung
        self._look_again(self._brackets.number_of(trial), trial.number)
        return rung

    def _look_again(self, bracket: int, number: int) -> None:
        """Note whether a trial of a bracket is paused and may go on now."""
        self._promoted.pop(number, None)
        rung, rungs = self._paused.get(number), self._brackets.rungs[bracket]
        if rung is not None and rungs.is_top(rung, number):
            self._promoted[number] = (-rung, bracket, rungs.place(rung, number))

    def _steps_up_to(self, trial: FrozenTrial, step: int) -> list[int]:
        return [last_step for last_step in self._rung_steps(trial) if last_step <= step]

    def resume(self, trial: FrozenTrial) -> None:
        """Remove the mark of a paused trial, because it goes on. One that its rung does not promote is a finalist."""
        rung = self._paused.pop(trial.number, None)
        self._promoted.pop(trial.number, None)
        if rung is None:
            return
        self._storage.set_trial_system_attr(trial_id_of(trial), PAUSED, None)
        if not self._brackets.of(trial).is_top(rung, trial.number):
            self._finalists.add(trial)

    def paused(self) -> list[FrozenTrial]:
        """All paused trials, sorted by number."""
        return self._waiting(sorted(self._paused))

    @property
    def n_paused(self) -> int:
        """Number of paused trials."""
        return len(self._paused)

    def is_paused(self, number: int) -> bool:
        """Whether the trial with this number is paused."""
        return number in self._paused

    def promoted(self) -> list[FrozenTrial]:
        """The paused trials that may go on now: the highest rung first, and the best first within a rung."""
        return self._waiting(sorted(self._promoted, key=self._promoted.__getitem__))

    def finalists(self) -> list[FrozenTrial]:
        """The paused trials to train to their ends, best first. Call it when nothing else is left to start."""
        return self._waiting(self._finalists.next_numbers(self._paused)) if self._paused else []

    def _waiting(self, numbers: Sequence[int]) -> list[FrozenTrial]:
        """The trials with these numbers that are still paused: another tool may have ended some of them."""
        storage, study_id = self._storage, study_id_of(self._study)
        ids = [storage.get_trial_id_from_study_id_trial_number(study_id, number) for number in numbers]
        found = [storage.get_trial(trial_id) for trial_id in ids]
        for trial in found:
            if paused_at(trial) is None:
                del self._paused[trial.number]
                self._promoted.pop(trial.number, None)
        return [trial for trial in found if trial.number in self._paused]


class Brackets:
    """The bracket of successive halving, or the brackets of Hyperband, to which trials are assigned as in Optuna."""

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
        assert isinstance(pruner.min_resource, int), "checked with the definition"
        assert isinstance(end, int), "checked with the definition"
        factor = pruner.reduction_factor
        rung_factor = (pruner.rung_factor if isinstance(pruner, SuccessiveHalving) else None) or factor
        self.rungs = [
            Rungs(
                _first_rung(pruner.min_resource, rung_factor, rate),
                factor,
                rung_factor=rung_factor,
                maximize=maximize,
                end_epochs=end,
            )
            for rate in rates
        ]

    def of(self, trial: FrozenTrial) -> Rungs:
        """The bracket of a trial, by its number."""
        return self.rungs[self.number_of(trial)]

    def number_of(self, trial: FrozenTrial) -> int:
        """The number of a trial's bracket, its place in `rungs`."""
        return 0 if self._hyperband is None else bracket_of_trial(self._hyperband, self._study, trial)


def _first_rung(min_resource: int, rung_factor: float, n_left_out: int) -> int:
    """Epochs of the first rung after `n_left_out` rungs that are left out."""
    epochs = min_resource
    for _ in range(n_left_out):
        if epochs >= MAX_EPOCHS:
            break
        epochs = next_rung(epochs, rung_factor)
    return epochs
