"""Statements on what trials report."""

from collections.abc import Sequence
from dataclasses import asdict

from sqlalchemy import Connection, delete, func, insert, select

from storage.records import EpochRecord
from storage.tables import epochs


def add(connection: Connection, epoch: EpochRecord) -> None:
    """Keep what a trial reported at a step."""
    connection.execute(insert(epochs).values(asdict(epoch)))


def get(connection: Connection, trial_id: int, step: int) -> EpochRecord | None:
    """What a trial reported at a step."""
    row = connection.execute(select(epochs).where(epochs.c.trial_id == trial_id, epochs.c.step == step)).one_or_none()
    return None if row is None else EpochRecord(**row._mapping)


def of_trial(connection: Connection, trial_id: int) -> list[EpochRecord]:
    """All that a trial reported, by step."""
    statement = select(epochs).where(epochs.c.trial_id == trial_id).order_by(epochs.c.step)
    return [EpochRecord(**row._mapping) for row in connection.execute(statement)]


def last_of(connection: Connection, trial_ids: Sequence[int]) -> list[EpochRecord]:
    """The last report of each of some trials."""
    last = (
        select(epochs.c.trial_id, func.max(epochs.c.step).label("step"))
        .where(epochs.c.trial_id.in_(trial_ids))
        .group_by(epochs.c.trial_id)
        .subquery()
    )
    statement = select(epochs).join(last, (epochs.c.trial_id == last.c.trial_id) & (epochs.c.step == last.c.step))
    return [EpochRecord(**row._mapping) for row in connection.execute(statement)]


def clear(connection: Connection, trial_id: int) -> None:
    """Forget what a trial reported, before another attempt starts from the beginning."""
    connection.execute(delete(epochs).where(epochs.c.trial_id == trial_id))


def remove(connection: Connection, study_id: int) -> None:
    """Delete a study's reports."""
    connection.execute(delete(epochs).where(epochs.c.study_id == study_id))
