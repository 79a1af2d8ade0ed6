"""Queries for what is not in memory: reports, results and old leases; and for all studies at the start."""

from collections.abc import Sequence

from sqlalchemy import Connection, func, select

from storage.records import EpochRecord, HeldTime, LeaseRecord, Metrics, ResultRecord, StudyRecord
from storage.tables.schema import epochs, leases, results, studies

MAX_IDS = 10_000
"""Trial ids per statement: databases limit its parameters (SQLite to 32,766, PostgreSQL to 65,535)."""


def all_studies(connection: Connection) -> list[StudyRecord]:
    """All studies, oldest first."""
    rows = connection.execute(select(studies).order_by(studies.c.created_at, studies.c.study_id))
    return [StudyRecord(**row._mapping) for row in rows]


def lease(connection: Connection, lease_id: str) -> LeaseRecord | None:
    """A lease by its id; None if there is none."""
    row = connection.execute(select(leases).where(leases.c.lease_id == lease_id)).one_or_none()
    return None if row is None else LeaseRecord(**row._mapping)


def n_epochs(connection: Connection, study_id: int) -> int:
    """Number of reports of a study's trials."""
    found: int = connection.execute(select(func.count()).where(epochs.c.study_id == study_id)).scalar_one()
    return found


def held_times(connection: Connection, study_id: int) -> list[HeldTime]:
    """When the leases of a study were held, and by which workers, in any order."""
    columns = select(leases.c.worker_id, leases.c.granted_at, leases.c.ended_at)
    rows = connection.execute(columns.where(leases.c.study_id == study_id))
    return [(worker_id, granted_at, ended_at) for worker_id, granted_at, ended_at in rows]


def epoch(connection: Connection, trial_id: int, step: int) -> EpochRecord | None:
    """The report of a trial at a step; None if there is none."""
    row = connection.execute(select(epochs).where(epochs.c.trial_id == trial_id, epochs.c.step == step)).one_or_none()
    return None if row is None else EpochRecord(**row._mapping)


def last_epoch_until(connection: Connection, lease: LeaseRecord, step: int) -> EpochRecord | None:
    """The report of the highest step under a lease that is not after `step`; None if there is none."""
    of_lease = select(epochs).where(epochs.c.trial_id == lease.trial_id, epochs.c.lease_id == lease.lease_id)
    last = of_lease.where(epochs.c.step <= step).order_by(epochs.c.step.desc()).limit(1)
    row = connection.execute(last).one_or_none()
    return None if row is None else EpochRecord(**row._mapping)


def epochs_of_trial(
    connection: Connection, trial_id: int, after_step: int | None, limit: int | None
) -> list[EpochRecord]:
    """The reports of a trial after a step, or from the first one on, in the order of their steps."""
    statement = select(epochs).where(epochs.c.trial_id == trial_id).order_by(epochs.c.step).limit(limit)
    if after_step is not None:
        statement = statement.where(epochs.c.step > after_step)
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
