"""Which narrowing round a study is in, and when the next one is due."""

from collections.abc import Sequence

from optuna import Study
from optuna.trial import TrialState

from service.schemas.rounds import FIRST_ROUND
from service.schemas.study.definition import Definition
from storage import RoundRecord, Store


class Rounds:
    """The rounds of one study. Without `narrowing` a study stays in its first round until a user narrows it.

    A trial belongs to the round in which it was made, whenever it is trained.
    """

    def __init__(self, store: Store, study_id: int, definition: Definition) -> None:
        self._store = store
        self._study_id = study_id
        self._narrowing = definition.narrowing

    def later(self) -> Sequence[RoundRecord]:
        """The records of all rounds but the first, which has none, in order."""
        return self._store.rounds.of_study(self._study_id)

    @property
    def latest(self) -> RoundRecord | None:
        """The record of the present round; None in the first round."""
        return self._store.rounds.latest(self._study_id)

    @property
    def number(self) -> int:
        """Number of the present round, from FIRST_ROUND."""
        return FIRST_ROUND if self.latest is None else self.latest.number

    @property
    def first_trial(self) -> int:
        """Number of the first trial of the present round, which may not exist yet."""
        return 0 if self.latest is None else self.latest.first_trial

    @property
    def end(self) -> int | None:
        """Number of the first trial of the next round that the definition asks for; None in the last round."""
        if self._narrowing is None or self.number >= self._narrowing.rounds:
            return None
        return self.first_trial + self._narrowing.trials_per_round

    def limit(self, n_trials: int) -> int:
        """How many of the study's `n_trials` may exist before the next round starts."""
        end = self.end
        return n_trials if end is None else min(end, n_trials)

    def is_over(self, study: Study, n_created: int, n_trials: int) -> bool:
        """Whether the next round is due: all trials of the present one have ended, and more will be made."""
        end = self.end
        if end is None or n_created < end or end >= n_trials:
            return False
        unfinished = study.get_trials(deepcopy=False, states=(TrialState.WAITING, TrialState.RUNNING))
        return all(trial.number >= end for trial in unfinished)
