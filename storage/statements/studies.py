"""Statements on studies."""

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, insert, select, update

from storage.records import StudyRecord
from storage.tables import studies


def begin(connection: Connection, name: str, definition: dict[str, Any], n_trials: int, created_at: datetime) -> None:
    """Write down that a study is going to be made; it counts once `complete` has given it its id."""
    connection.execute(
        insert(studies).values(
            name=name, definition=definition, state="running", n_trials=n_trials, created_at=created_at
        )
    )


def complete(connection: Connection, name: str, study_id: int) -> None:
    """Give a study the id that Optuna made."""
    connection.execute(update(studies).where(studies.c.name == name).values(study_id=study_id))


def begun(connection: Connection) -> list[str]:
    """Names of the studies whose making was cut short."""
    return list(connection.execute(select(studies.c.name).where(studies.c.study_id.is_(None))).scalars())


def every(connection: Connection) -> list[StudyRecord]:
    """All studies, oldest first."""
    statement = (
        select(studies).where(studies.c.study_id.is_not(None)).order_by(studies.c.created_at, studies.c.study_id)
    )
    return [StudyRecord(**row._mapping) for row in connection.execute(statement)]


def change(connection: Connection, study_id: int, values: dict[str, Any]) -> None:
    """Change columns of a study."""
    connection.execute(update(studies).where(studies.c.study_id == study_id).values(values))


def remove(connection: Connection, name: str) -> None:
    """Delete a study's row."""
    connection.execute(delete(studies).where(studies.c.name == name))
