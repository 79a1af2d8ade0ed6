"""Statements on leases."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime

from sqlalchemy import Connection, delete, insert, select, update

from storage.records import LeaseRecord, Outcome
from storage.tables import leases


def add(connection: Connection, lease: LeaseRecord) -> None:
    """Grant a lease."""
    connection.execute(insert(leases).values(asdict(lease)))


def get(connection: Connection, lease_id: str) -> LeaseRecord | None:
    """One lease."""
    row = connection.execute(select(leases).where(leases.c.lease_id == lease_id)).one_or_none()
    return None if row is None else LeaseRecord(**row._mapping)


def of_claim(connection: Connection, claim_id: str) -> list[LeaseRecord]:
    """The leases that a claim was answered with, in order of their trials."""
    statement = select(leases).where(leases.c.claim_id == claim_id).order_by(leases.c.trial_id)
    return [LeaseRecord(**row._mapping) for row in connection.execute(statement)]


def of_study(connection: Connection, study_id: int) -> list[LeaseRecord]:
    """All leases of a study, oldest first."""
    statement = select(leases).where(leases.c.study_id == study_id).order_by(leases.c.granted_at, leases.c.lease_id)
    return [LeaseRecord(**row._mapping) for row in connection.execute(statement)]


def of_trials(connection: Connection, trial_ids: Sequence[int]) -> list[LeaseRecord]:
    """All leases of some trials, oldest first."""
    statement = select(leases).where(leases.c.trial_id.in_(trial_ids)).order_by(leases.c.granted_at, leases.c.attempt)
    return [LeaseRecord(**row._mapping) for row in connection.execute(statement)]


def end(
    connection: Connection, lease_id: str, outcome: Outcome, *, state: str, reason: str | None, ended_at: datetime
) -> None:
    """Close a lease; how it ended, and the trial's state after it."""
    connection.execute(
        update(leases)
        .where(leases.c.lease_id == lease_id)
        .values(outcome=outcome, state=state, reason=reason, ended_at=ended_at)
    )


def remove(connection: Connection, study_id: int) -> None:
    """Delete a study's leases."""
    connection.execute(delete(leases).where(leases.c.study_id == study_id))
