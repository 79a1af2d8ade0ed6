"""A read-only Optuna study, made from the export of a study of the service."""

import json
import re
import warnings
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from typing import Any, NoReturn

import optuna
from optuna.distributions import BaseDistribution, json_to_distribution
from optuna.exceptions import ExperimentalWarning
from optuna.storages import InMemoryStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from service.schemas.optuna import OptunaStudy, OptunaTrial, local

NUMBER = re.compile(rb'\{"number":(\d+),')


class ReadOnlyError(RuntimeError):
    """The study is a copy: a change of it would not reach the service."""


class ReadOnlyStorage(InMemoryStorage):
    """A storage with one study. Every method that would change it raises ReadOnlyError."""

    def __init__(self, study: OptunaStudy, trials: Iterable[FrozenTrial]) -> None:
        super().__init__()
        study_id = super().create_new_study(directions_of(study), study.study_name)
        for key, value in study.user_attrs.items():
            super().set_study_user_attr(study_id, key, value)
        for key, value in _metric_names_attrs(study).items():
            super().set_study_system_attr(study_id, key, value)
        numbers = []
        for trial in trials:
            numbers.append(trial.number)
            super().create_new_trial(study_id, trial)
        for number, kept in zip(numbers, super().get_all_trials(study_id, deepcopy=False), strict=True):
            kept.number = number  # there may be gaps: Optuna numbers them in their order

    def _refuse(self, *_arguments: Any, **_options: Any) -> NoReturn:
        raise ReadOnlyError("this study is a read-only copy: change it through the service")

    create_new_study = delete_study = create_new_trial = _refuse
    set_study_user_attr = set_study_system_attr = _refuse
    set_trial_param = set_trial_state_values = set_trial_intermediate_value = _refuse
    set_trial_user_attr = set_trial_system_attr = _refuse


def _metric_names_attrs(study: OptunaStudy) -> dict[str, Any]:
    """The system attributes by which Optuna names the metrics. Their form is private, so Optuna itself writes them."""
    storage = InMemoryStorage()
    study_id = storage.create_new_study(directions_of(study), study.study_name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        optuna.load_study(study_name=study.study_name, storage=storage).set_metric_names(study.metric_names)
    return storage.get_study_system_attrs(study_id)


def read_only_study(study: OptunaStudy, trials: Iterable[FrozenTrial]) -> optuna.Study:
    """An Optuna study in memory with these trials, which keep their numbers."""
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(
        max(verbosity, optuna.logging.WARNING)
    )  # at INFO, Optuna logs that it has created a study
    try:
        storage = ReadOnlyStorage(study, trials)
    finally:
        optuna.logging.set_verbosity(verbosity)
    return optuna.load_study(study_name=study.study_name, storage=storage)


def read(
    pieces: Iterable[bytes], is_wanted: Callable[[int], bool] = lambda _number: True
) -> tuple[OptunaStudy, Iterator[FrozenTrial]]:
    """The study of an export in Optuna's format and an iterator over its trials, which reads on as needed.

    Trials whose numbers are not wanted are left out, which takes a small part of the time.

    Raises pydantic's ValidationError if the bytes are not an export.
    """
    lines = _lines(pieces)
    study = OptunaStudy.model_validate_json(next(lines, b""))
    return study, (frozen_trial(OptunaTrial.model_validate_json(line)) for line in lines if is_wanted(_number(line)))


def _number(line: bytes) -> int:
    """The number of a trial, with which its line begins. Raises pydantic's ValidationError if it does not."""
    found = NUMBER.match(line)
    return OptunaTrial.model_validate_json(line).number if found is None else int(found[1])


def directions_of(study: OptunaStudy) -> list[StudyDirection]:
    """The direction of each objective."""
    return [StudyDirection[direction.upper()] for direction in study.directions]


def frozen_trial(trial: OptunaTrial) -> FrozenTrial:
    """An Optuna trial. Its metrics become user attributes, unless it has a user attribute of that name."""
    distributions = {name: _distribution(json.dumps(one)) for name, one in trial.distributions.items()}
    return FrozenTrial(
        number=trial.number,
        trial_id=trial.number,
        state=TrialState[trial.state],
        value=None,
        values=trial.values,
        datetime_start=local(trial.datetime_start),
        datetime_complete=local(trial.datetime_complete),
        params=trial.params,
        distributions=distributions,
        user_attrs={**trial.metrics, **trial.user_attrs},
        system_attrs=dict(trial.system_attrs),
        intermediate_values=trial.intermediate_values,
    )


@lru_cache(maxsize=1024)
def _distribution(text: str) -> BaseDistribution:
    """The distribution of a JSON text. Trials share it: distributions do not change."""
    return json_to_distribution(text)


def _lines(pieces: Iterable[bytes]) -> Iterator[bytes]:
    rest = b""
    for piece in pieces:
        *whole, rest = (rest + piece).split(b"\n")
        yield from whole
    if rest:
        yield rest
