"""Queries for reports and results, which are not in memory, and for all studies at the start."""

from collections.abc import Sequence

from sqlalchemy import Connection, func, select

from storage.records import EpochRecord, Metrics, ResultRecord, StudyRecord
from storage.tables.schema import epochs, results, studies

MAX_IDS = 10_000
"""Trial ids per statement: databases limit its parameters (SQLite to 32,766, PostgreSQL to 65,535)."""


def all_studies(connection: Connection) -> list[StudyRecord]:
    """All studies, oldest first."""
    rows = connection.execute(select(studies).order_by(studies.c.created_at, studies.c.study_id))
    return [StudyRecord(**row._mapping) for row in rows]


def epoch(connection: Connection, trial_id: int, step: int) -> EpochRecord | None:
    """The report of a trial at a step; None if there is none."""
    row = connection.execute(select(epochs).where(epochs.c.trial_id == trial_id, epochs.c.step == step)).one_or_none()
    return None if row is None else EpochRecord(**row._mapping)


def epochs_of_trial(connection: Connection, trial_id: int) -> list[EpochRecord]:
    """All reports of a trial, in the order of their steps."""
    statement = select(epochs).where(epochs.c.trial_id == trial_id).order_by(epochs.c.step)
    return [EpochRecord(**row._mapping) for row in connection.execute(statement)]


def metrics_of_trials(connection: Connection, trial_ids: Sequence[int]) -> list[tuple[int, int, Metrics]]:
    """Trial id, step and metrics of all reports of these trials, sorted by trial id and step within each chunk."""
    found: list[tuple[int, int, Metrics]] = []
    for chunk in _chunks(trial_ids):
        columns = select(epochs.c.trial_id, epochs.c.step, epochs.c.metrics)
        statement = columns.where(epochs.c.trial_id.in_(chunk)).order_by(epochs.c.trial_id, epochs.c.step)
        found += [(trial_id, step, metrics) for trial_id, step, metrics in connection.execute(statement)]
    return found


def last_epochs(connection: Connection, trial_ids: Sequence[int]) -> list[EpochRecord]:
    """The last report of each of these trials that has one."""
    found = []
    for chunk in _chunks(trial_ids):
        last = (
            select(epochs.c.trial_id, func.max(epochs.c.step).label("step"))
            .where(epochs.c.trial_id.in_(chunk))
            .group_by(epochs.c.trial_id)
            .subquery()
        )
        same = (epochs.c.trial_id == last.c.trial_id) & (epochs.c.step == last.c.step)
        found += [EpochRecord(**row._mapping) for row in connection.execute(select(epochs).join(last, same))]
    return found


def results_of_trials(connection: Connection, trial_ids: Sequence[int]) -> list[ResultRecord]:
    """The results of those of these trials that have ended."""
    return [
        ResultRecord(**row._mapping)
        for chunk in _chunks(trial_ids)
        for row in connection.execute(select(results).where(results.c.trial_id.in_(chunk)))
    ]


def _chunks(trial_ids: Sequence[int]) -> list[Sequence[int]]:
    return [trial_ids[start : start + MAX_IDS] for start in range(0, len(trial_ids), MAX_IDS)]
