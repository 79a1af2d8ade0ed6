"""What a sampler's process has been told of its study, so that only what is new is sent."""

import copy
import pickle
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from optuna.trial import FrozenTrial

from service.sampling.custom.messages import AttrsChange, TrialsChange, pickled
from storage import trial_id_of

CHUNK = 500
"""Trials that are pickled at once: other threads of the service wait as long as that takes."""
ENDED_ATTR = "narrows:after_trial:"
"""Followed by a trial's id: our system attribute of a study. It holds what its sampler has set on that trial in
`after_trial`, which is called after the trial is saved, when its own attributes cannot be changed any more."""


class StudyMirror:
    """What one process knows of a study. For one thread at a time."""

    def __init__(self) -> None:
        self._known: list[FrozenTrial | bytes] = []
        """Of each trial that the process knows: the object of a finished one, which never changes, or its bytes."""
        self._known_attrs = b""
        self._late_attrs: dict[int, dict[str, Any]] = {}
        self._completed: dict[int, tuple[FrozenTrial, FrozenTrial]] = {}

    def changes(
        self, trials: Sequence[FrozenTrial], user_attrs: Mapping[str, Any], system_attrs: Mapping[str, Any]
    ) -> Iterator[bytes]:
        """The messages that tell the process what is new. All of them must be sent, in order."""
        late = {key: value for key, value in system_attrs.items() if key.startswith(ENDED_ATTR)}
        self._late_attrs = {int(key.removeprefix(ENDED_ATTR)): value for key, value in late.items()}
        own = {key: value for key, value in system_attrs.items() if key not in late}
        attrs = pickled(AttrsChange(dict(user_attrs), own))
        if attrs != self._known_attrs:
            self._known_attrs = attrs
            yield attrs
        changed = list(self._changed(trials))
        n_before = len(self._known)
        del self._known[len(trials) :]
        for start in range(0, len(changed), CHUNK):
            chunk = changed[start : start + CHUNK]
            yield pickled(TrialsChange(chunk, max(n_before, chunk[-1][0] + 1)))
            n_before = max(n_before, chunk[-1][0] + 1)
        if n_before > len(trials):
            yield pickled(TrialsChange([], len(trials)))

    def _changed(self, trials: Sequence[FrozenTrial]) -> Iterator[tuple[int, FrozenTrial]]:
        for position, trial in enumerate(trials):
            seen = self._with_late_attrs(trial)
            known: FrozenTrial | bytes = seen if trial.state.is_finished() else pickle.dumps(seen)
            if position == len(self._known):
                self._known.append(known)
            elif self._known[position] is known or (isinstance(known, bytes) and self._known[position] == known):
                continue
            else:
                self._known[position] = known
            yield position, seen

    def _with_late_attrs(self, trial: FrozenTrial) -> FrozenTrial:
        """A trial with the attributes that its sampler has set after its end. The copy of a finished one is cached."""
        late = self._late_attrs.get(trial_id_of(trial))
        if late is None:
            return trial
        known = self._completed.get(trial_id_of(trial))
        if known is not None and known[0] is trial:
            return known[1]
        seen = copy.copy(trial)
        seen.system_attrs = {**trial.system_attrs, **late.get("system", {})}
        seen.user_attrs = {**trial.user_attrs, **late.get("user", {})}
        self._completed[trial_id_of(trial)] = (trial, seen)
        return seen
