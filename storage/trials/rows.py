"""Optuna's objects as raw rows of its tables."""

import copy
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from optuna.distributions import BaseDistribution, distribution_to_json, json_to_distribution
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial

from storage.batch import Batch, Row
from storage.json_text import load_json
from storage.optuna_seam.objects import trial_id_of
from storage.optuna_seam.tables import encode_intermediate_value, encode_value

MAX_KEY_CHARACTERS = 512
NUL = "\x00"


class DistributionCache:
    """Distributions by their JSON, so that all trials with equal distributions share one object."""

    def __init__(self) -> None:
        self._by_text: dict[str, BaseDistribution] = {}

    def intern(self, distribution: BaseDistribution) -> tuple[str, BaseDistribution]:
        """The JSON of a distribution, and the shared object that is equal to it."""
        text = distribution_to_json(distribution)
        return text, self._by_text.setdefault(text, distribution)

    def parse(self, text: str) -> BaseDistribution:
        """The shared distribution with this JSON."""
        known = self._by_text.get(text)
        if known is None:
            known = self._by_text[text] = json_to_distribution(json.dumps(load_json(text)))
        return known


def check_key(key: str) -> None:
    """Raises ValueError for a name that PostgreSQL refuses, so that all databases accept the same names."""
    if len(key) > MAX_KEY_CHARACTERS:
        raise ValueError(f"names must be at most {MAX_KEY_CHARACTERS} characters: {key[:40]!r}…")
    if NUL in key:
        raise ValueError(f"names must not hold the character U+0000: {key!r}")
    try:
        key.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"names must be valid Unicode, without half a surrogate pair: {key!r}") from error


def attribute_text(value: Any) -> str:
    """An attribute as JSON. Raises TypeError if JSON cannot hold it."""
    return json.dumps(value)


def trial_row(trial: FrozenTrial, study_id: int) -> Row:
    """The row of a trial in `trials`."""
    return (
        trial_id_of(trial),
        trial.number,
        study_id,
        trial.state.name,
        _to_utc(trial.datetime_start),
        _to_utc(trial.datetime_complete),
    )


def param_row(trial_id: int, name: str, value: float, distribution_text: str) -> Row:
    """The row of a parameter. `value` is in Optuna's internal representation."""
    return trial_id, name, float(value), distribution_text


def value_row(trial_id: int, objective: int, value: float) -> Row:
    """The row of an objective value."""
    return trial_id, objective, *encode_value(float(value))


def intermediate_row(trial_id: int, step: int, value: float) -> Row:
    """The row of an intermediate value."""
    return trial_id, int(step), *encode_intermediate_value(float(value))


def put_study(batch: Batch, study_id: int, name: str, directions: Sequence[StudyDirection]) -> None:
    """Add the rows of a new study to a batch."""
    batch.put("studies", study_id, (study_id, name))
    for objective, direction in enumerate(directions):
        batch.put("study_directions", (study_id, objective), (study_id, objective, direction.name))


def put_trial(batch: Batch, trial: FrozenTrial, study_id: int, distributions: DistributionCache) -> None:
    """Add all rows of a trial to a batch."""
    trial_id = trial_id_of(trial)
    batch.put("trials", trial_id, trial_row(trial, study_id))
    for name, value in trial.params.items():
        text, distribution = distributions.intern(trial.distributions[name])
        batch.put(
            "trial_params", (trial_id, name), param_row(trial_id, name, distribution.to_internal_repr(value), text)
        )
    for objective, number in enumerate(trial.values or ()):
        batch.put("trial_values", (trial_id, objective), value_row(trial_id, objective, number))
    for step, number in trial.intermediate_values.items():
        batch.put("trial_intermediate_values", (trial_id, step), intermediate_row(trial_id, step, number))
    put_attributes(batch, "trial_user_attributes", trial_id, trial.user_attrs)
    put_attributes(batch, "trial_system_attributes", trial_id, trial.system_attrs)


def put_attributes(batch: Batch, table: str, owner_id: int, attributes: Mapping[str, Any]) -> None:
    """Add the rows of the attributes of a study or trial to a batch."""
    for key, value in attributes.items():
        batch.put(table, (owner_id, key), (owner_id, key, attribute_text(value)))


def _to_utc(moment: datetime | None) -> datetime | None:
    """Optuna's times are naive in both places: local in memory, and UTC in the database."""
    return None if moment is None else moment.astimezone(UTC).replace(tzinfo=None)


def from_utc(moment: datetime | None) -> datetime | None:
    """A time of the database as Optuna's local time."""
    return None if moment is None else moment.replace(tzinfo=UTC).astimezone().replace(tzinfo=None)


def normalized(template: FrozenTrial, distributions: DistributionCache) -> FrozenTrial:
    """The template as the database would return it. Raises ValueError and TypeError for what it cannot store."""
    for key in (*template.params, *template.user_attrs, *template.system_attrs):
        check_key(key)
    trial = copy.copy(template)
    trial.distributions = {name: distributions.intern(given)[1] for name, given in template.distributions.items()}
    trial.params = {name: _stored_param(trial.distributions[name], value) for name, value in template.params.items()}
    trial.values = None if template.values is None else [float(value) for value in template.values]
    trial.intermediate_values = {step: float(value) for step, value in template.intermediate_values.items()}
    trial.user_attrs = load_json(attribute_text(template.user_attrs))
    trial.system_attrs = load_json(attribute_text(template.system_attrs))
    return trial


def _stored_param(distribution: BaseDistribution, value: Any) -> Any:
    """A parameter's value as the database returns it: 0 of a float parameter becomes 0.0."""
    return distribution.to_external_repr(float(distribution.to_internal_repr(value)))
