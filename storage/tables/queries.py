"""Reads of what is not in memory: reports and results, and our own rows at the start."""

from collections.abc import Sequence

from sqlalchemy import Connection, func, select

from storage.records import EpochRecord, Metrics, ResultRecord, StudyRecord, WorkerRecord
from storage.tables.schema import epochs, results, studies, workers

CHUNK = 10_000
"""Databases limit the number of parameters of one statement (SQLite 32,766, PostgreSQL 65,535)."""


def all_studies(connection: Connection) -> list[StudyRecord]:
    """All studies, oldest first."""
    rows = connection.execute(select(studies).order_by(studies.c.created_at, studies.c.study_id))
    return [StudyRecord(**row._mapping) for row in rows]


def all_workers(connection: Connection) -> list[WorkerRecord]:
    """All workers."""
    return [WorkerRecord(**row._mapping) for row in connection.execute(select(workers))]


def epoch(connection: Connection, trial_id: int, step: int) -> EpochRecord | None:
    """What a trial reported at a step."""
    row = connection.execute(select(epochs).where(epochs.c.trial_id == trial_id, epochs.c.step == step)).one_or_none()
    return None if row is None else EpochRecord(**row._mapping)


def epochs_of_trial(connection: Connection, trial_id: int) -> list[EpochRecord]:
    """All that a trial reported, by step."""
    statement = select(epochs).where(epochs.c.trial_id == trial_id).order_by(epochs.c.step)
    return [EpochRecord(**row._mapping) for row in connection.execute(statement)]


def metrics_of_trials(connection: Connection, trial_ids: Sequence[int]) -> list[tuple[int, int, Metrics]]:
    """Trial, step and metrics of all that some trials reported, by trial and step."""
    found: list[tuple[int, int, Metrics]] = []
    for chunk in _chunks(trial_ids):
        columns = select(epochs.c.trial_id, epochs.c.step, epochs.c.metrics)
        statement = columns.where(epochs.c.trial_id.in_(chunk)).order_by(epochs.c.trial_id, epochs.c.step)
        found += [(trial_id, step, metrics) for trial_id, step, metrics in connection.execute(statement)]
    return found


def last_epochs(connection: Connection, trial_ids: Sequence[int]) -> list[EpochRecord]:
    """The last report of each of some trials."""
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
    """How some trials ended."""
    return [
        ResultRecord(**row._mapping)
        for chunk in _chunks(trial_ids)
        for row in connection.execute(select(results).where(results.c.trial_id.in_(chunk)))
    ]


def _chunks(trial_ids: Sequence[int]) -> list[Sequence[int]]:
    return [trial_ids[start : start + CHUNK] for start in range(0, len(trial_ids), CHUNK)]
