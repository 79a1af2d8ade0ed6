"""Optuna's database tables: their columns, the statements that read them, and how they store numbers."""

from typing import NamedTuple

from optuna.storages._rdb.models import (
    BaseModel,
    StudyDirectionModel,
    StudyModel,
    StudySystemAttributeModel,
    StudyUserAttributeModel,
    TrialIntermediateValueModel,
    TrialModel,
    TrialParamModel,
    TrialSystemAttributeModel,
    TrialUserAttributeModel,
    TrialValueModel,
)
from sqlalchemy import Table

__all__ = ["StudyDirectionModel", "StudyModel", "TrialModel"]


class OptunaTable(NamedTuple):
    """One of Optuna's tables. A row is found by the values of `keys`; `others` are the columns we write besides."""

    table: Table
    keys: tuple[str, ...]
    others: tuple[str, ...]


OPTUNA_TABLES = {
    model.__tablename__: OptunaTable(model.__table__, keys, others)
    for model, keys, others in (
        (StudyModel, ("study_id",), ("study_name",)),
        (StudyDirectionModel, ("study_id", "objective"), ("direction",)),
        (StudyUserAttributeModel, ("study_id", "key"), ("value_json",)),
        (StudySystemAttributeModel, ("study_id", "key"), ("value_json",)),
        (TrialModel, ("trial_id",), ("number", "study_id", "state", "datetime_start", "datetime_complete")),
        (TrialParamModel, ("trial_id", "param_name"), ("param_value", "distribution_json")),
        (TrialValueModel, ("trial_id", "objective"), ("value", "value_type")),
        (TrialIntermediateValueModel, ("trial_id", "step"), ("intermediate_value", "intermediate_value_type")),
        (TrialUserAttributeModel, ("trial_id", "key"), ("value_json",)),
        (TrialSystemAttributeModel, ("trial_id", "key"), ("value_json",)),
    )
}
"""The tables we write, by name, each after the tables that its foreign keys refer to."""


def _referring_to(parent: str) -> tuple[str, ...]:
    tables = BaseModel.metadata.sorted_tables
    return tuple(table.name for table in tables if any(key.column.table.name == parent for key in table.foreign_keys))


TRIAL_CHILD_TABLES = _referring_to("trials")
"""Names of the tables with a foreign key to `trials`."""

STUDY_CHILD_TABLES = _referring_to("studies")
"""Names of the tables with a foreign key to `studies`."""

SELECT_STUDIES = "SELECT study_id, study_name FROM studies ORDER BY study_id"
SELECT_DIRECTIONS = "SELECT study_id, direction FROM study_directions ORDER BY study_id, objective"
SELECT_STUDY_USER_ATTRS = (
    'SELECT study_id, "key", value_json FROM study_user_attributes ORDER BY study_user_attribute_id'
)
SELECT_STUDY_SYSTEM_ATTRS = (
    'SELECT study_id, "key", value_json FROM study_system_attributes ORDER BY study_system_attribute_id'
)
SELECT_TRIALS = "SELECT trial_id, study_id, state, datetime_start, datetime_complete FROM trials ORDER BY trial_id"
SELECT_PARAMS = (
    "SELECT trial_id, param_name, param_value, distribution_json FROM trial_params ORDER BY trial_id, param_id"
)
SELECT_VALUES = "SELECT trial_id, value, value_type FROM trial_values ORDER BY trial_id, objective"
SELECT_INTERMEDIATE_VALUES = (
    "SELECT trial_id, step, intermediate_value, intermediate_value_type FROM trial_intermediate_values "
    "ORDER BY trial_id, step"
)
SELECT_TRIAL_USER_ATTRS = (
    'SELECT trial_id, "key", value_json FROM trial_user_attributes ORDER BY trial_id, trial_user_attribute_id'
)
SELECT_TRIAL_SYSTEM_ATTRS = (
    'SELECT trial_id, "key", value_json FROM trial_system_attributes ORDER BY trial_id, trial_system_attribute_id'
)

FINITE = "FINITE"
"""Kind of a stored number that is neither nan nor infinite; intermediate values use the same word."""


def encode_value(value: float) -> tuple[float | None, str]:
    """An objective value as it is stored: a finite number or None, and its kind."""
    stored, kind = TrialValueModel.value_to_stored_repr(value)
    return stored, kind.name


def encode_intermediate_value(value: float) -> tuple[float | None, str]:
    """An intermediate value as it is stored: a finite number or None, and its kind."""
    stored, kind = TrialIntermediateValueModel.intermediate_value_to_stored_repr(value)
    return stored, kind.name


def decode_value(stored: float | None, kind: str) -> float:
    """An objective value from what is stored."""
    if kind == FINITE and stored is not None:
        return stored
    return TrialValueModel.stored_repr_to_value(stored, TrialValueModel.TrialValueType[kind])


def decode_intermediate_value(stored: float | None, kind: str) -> float:
    """An intermediate value from what is stored."""
    if kind == FINITE and stored is not None:
        return stored
    kinds = TrialIntermediateValueModel.TrialIntermediateValueType
    return TrialIntermediateValueModel.stored_repr_to_intermediate_value(stored, kinds[kind])
