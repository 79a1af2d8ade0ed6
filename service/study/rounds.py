"""Which round a study is in, and when the next one begins: trials are counted as they are made, whoever trains them."""

from collections.abc import Sequence

from optuna import Study
from optuna.trial import TrialState

from service.schemas.rounds import FIRST_ROUND
from service.schemas.study.definition import Definition
from storage import RoundRecord, Store


class Rounds:
    """The rounds of one study; one without `narrowing` stays in its first until somebody narrows it by hand."""

    def __init__(self, store: Store, study_id: int, definition: Definition) -> None:
        self._store = store
        self._study_id = study_id
        self._narrowing = definition.narrowing

    def later(self) -> Sequence[RoundRecord]:
        """All rounds but the first, in order."""
        return self._store.rounds.of_study(self._study_id)

    @property
    def latest(self) -> RoundRecord | None:
        """The present round, None while it is the first."""
        return self._store.rounds.latest(self._study_id)

    @property
    def number(self) -> int:
        return FIRST_ROUND if self.latest is None else self.latest.number

    @property
    def first_trial(self) -> int:
        """Number of the first trial that was, or will be, made in the present round."""
        return 0 if self.latest is None else self.latest.first_trial

    @property
    def end(self) -> int | None:
        """Number of the first trial of the next round, which the definition asks for; None in the last round."""
        if self._narrowing is None or self.number >= self._narrowing.rounds:
            return None
        return self.first_trial + self._narrowing.trials_per_round

    def limit(self, n_trials: int) -> int:
        """How many trials there may be before the next round begins."""
        end = self.end
        return n_trials if end is None else min(end, n_trials)

    def is_over(self, study: Study, n_created: int, n_trials: int) -> bool:
        """Whether another round is due: all trials of the present one have ended, and there will be more."""
        end = self.end
        if end is None or n_created < end or end >= n_trials:
            return False
        unfinished = study.get_trials(deepcopy=False, states=(TrialState.WAITING, TrialState.RUNNING))
        return all(trial.number >= end for trial in unfinished)
