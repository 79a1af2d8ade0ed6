"""Statements on how trials ended."""

from collections.abc import Sequence
from dataclasses import asdict

from sqlalchemy import Connection, delete, insert, select, update

from storage.records import Metrics, ResultRecord
from storage.tables import results


def add(connection: Connection, result: ResultRecord) -> None:
    """Write down how a trial ends."""
    connection.execute(insert(results).values(asdict(result)))


def of_trials(connection: Connection, trial_ids: Sequence[int]) -> list[ResultRecord]:
    """How some trials ended."""
    statement = select(results).where(results.c.trial_id.in_(trial_ids))
    return [ResultRecord(**row._mapping) for row in connection.execute(statement)]


def of_study(connection: Connection, study_id: int) -> list[ResultRecord]:
    """How the trials of a study ended."""
    statement = select(results).where(results.c.study_id == study_id)
    return [ResultRecord(**row._mapping) for row in connection.execute(statement)]


def set_metrics(connection: Connection, trial_id: int, metrics: Metrics) -> None:
    """Replace the final metrics of a trial that has ended."""
    connection.execute(update(results).where(results.c.trial_id == trial_id).values(metrics=metrics))


def remove(connection: Connection, study_id: int) -> None:
    """Delete a study's results."""
    connection.execute(delete(results).where(results.c.study_id == study_id))
