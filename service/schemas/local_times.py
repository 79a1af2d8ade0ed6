"""Optuna keeps local times without a zone."""

from datetime import UTC, datetime


def local(moment: datetime | None) -> datetime | None:
    """A time as Optuna keeps it."""
    return None if moment is None else moment.astimezone().replace(tzinfo=None)


def utc(moment: datetime | None) -> datetime | None:
    """A time that Optuna has kept."""
    return None if moment is None else moment.astimezone(UTC)
