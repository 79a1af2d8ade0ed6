"""Rows of our own tables as immutable values."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

StudyState = Literal["running", "paused", "stopped", "finished"]
TrialStateName = Literal["WAITING", "RUNNING", "COMPLETE", "PRUNED", "FAIL"]
"""The name of an `optuna.trial.TrialState`."""
Decision = Literal["continue", "pause", "prune", "stop", "lost"]
"""How a report is answered."""
Outcome = Literal["complete", "prune", "fail", "release", "expire", "stop", "pause"]
"""How a lease ends."""
FinalState = Literal["running", "complete", "failed"]
Metrics = dict[str, float]
HeldTime = tuple[str, datetime, datetime | None]
"""Worker, grant and end of a lease; no end while it is open."""


@dataclass(frozen=True)
class StudyRecord:
    """A study, besides Optuna's own row for it. `definition` is its definition as JSON."""

    study_id: int
    name: str
    definition: dict[str, Any]
    state: StudyState
    n_trials: int
    created_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None
    finished_reason: str | None = None
    state_reason: str | None = None
    """Why the service has paused the study."""
    resumed_at: datetime | None = None
    """When it was last made running again; failures before that do not count."""
    max_total_epochs: int | None = None
    """The raised limit; None while the definition's is valid."""
    max_device_hours: float | None = None
    """The raised limit; None while the definition's is valid."""


@dataclass(frozen=True, slots=True)
class LeaseRecord:
    """A lease: one attempt at a trial, or part of an attempt, because a `release` does not end the attempt."""

    lease_id: str
    study_id: int
    trial_id: int
    trial_number: int
    attempt: int
    claim_id: str
    worker_id: str
    granted_at: datetime
    ended_at: datetime | None = None
    outcome: Outcome | None = None
    reason: str | None = None
    state: TrialStateName | None = None
    """State of the trial after the lease ended: the answer to the call that ended it."""


@dataclass(frozen=True)
class EpochRecord:
    """The report of a trial at one step, and the decision that answered it."""

    trial_id: int
    step: int
    study_id: int
    lease_id: str
    metrics: Metrics
    decision: Decision


@dataclass(frozen=True)
class ResultRecord:
    """The result of a trial that has ended. It is committed together with Optuna's row for the trial."""

    trial_id: int
    study_id: int
    state: TrialStateName
    values: list[float] | None = None
    metrics: Metrics = field(default_factory=dict)
    reason: str | None = None


@dataclass(frozen=True)
class ArtifactRecord:
    """A file that a worker uploaded for a trial. The blob `blob_id` has its bytes; `sha256` is hexadecimal."""

    trial_id: int
    name: str
    study_id: int
    lease_id: str
    attempt: int
    step: int | None
    size_bytes: int
    sha256: str
    blob_id: str
    created_at: datetime


@dataclass(frozen=True)
class WorkerRecord:
    """A worker that has claimed at least once, as of its last claim."""

    worker_id: str
    host: str
    device: str
    n_lanes: int
    first_seen_at: datetime
    last_seen_at: datetime
    narrows_version: str | None = None
    torch_version: str | None = None


@dataclass(frozen=True)
class FinalRecord:
    """A final evaluation of a study. Its trials belong to the linked study.

    `plan` says what is trained and `reason` why the test split is read again. `ranking` is set once the confirmations
    have ended, and `test` or `failure` once the final evaluation has.
    """

    study_id: int
    number: int
    linked_study_id: int
    state: FinalState
    plan: dict[str, Any]
    requested_at: datetime
    requested_by: str
    reason: str | None = None
    ranking: dict[str, Any] | None = None
    test: dict[str, Any] | None = None
    failure: str | None = None
    ended_at: datetime | None = None


@dataclass(frozen=True)
class RoundRecord:
    """A round of a study: the ranges of its float parameters from trial number `first_trial` on.

    The first round has no record, because its ranges are the definition's. `kept` are the numbers of the trials around
    which the ranges were narrowed, best first. `requested_by` names the caller.
    """

    study_id: int
    number: int
    first_trial: int
    began_at: datetime
    requested_by: str
    keep_top: int
    margin: float
    kept: list[int]
    ranges: dict[str, dict[str, Any]]
    note: str | None = None


@dataclass(frozen=True)
class ImportRecord:
    """Trials from elsewhere that a study's sampler learns from. They do not become trials of the study.

    `source` describes their origin and `digest` identifies the imported content. `left_out` maps a reason to the number
    of trials that were not imported for it. `distributions` are those of parameters outside the study's search space.
    """

    study_id: int
    number: int
    source: str
    digest: str
    imported_at: datetime
    requested_by: str
    left_out: dict[str, int]
    distributions: dict[str, dict[str, Any]]
    trials: list[dict[str, Any]]

    @property
    def n_trials(self) -> int:
        """Number of imported trials."""
        return len(self.trials)


@dataclass(frozen=True)
class TokenRecord:
    """A token without its secret. `digest` is the SHA-256 of the secret, in hexadecimal."""

    name: str
    digest: str
    scopes: list[str]
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    last_used_at: datetime | None = None


@dataclass(frozen=True)
class SessionRecord:
    """A browser's session without its id. `digest` is the SHA-256 of the id, in hexadecimal.

    `seal` ties the session to its token, in hexadecimal.
    """

    digest: str
    token_name: str
    seal: str
    started_at: datetime
    ends_at: datetime
