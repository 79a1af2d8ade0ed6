"""The rows of our own tables, as values."""

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


@dataclass(frozen=True)
class StudyRecord:
    """A study beside Optuna's own row of it. `definition` is the JSON that made it."""

    study_id: int
    name: str
    definition: dict[str, Any]
    state: StudyState
    n_trials: int
    created_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None
    finished_reason: str | None = None


@dataclass(frozen=True, slots=True)
class LeaseRecord:
    """One lease, which is one attempt at a trial or a part of it (`release` does not end the attempt)."""

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
    """State of the trial that the call which ended the lease was answered with."""


@dataclass(frozen=True)
class EpochRecord:
    """What a trial reported at one step, and how the report was answered."""

    trial_id: int
    step: int
    study_id: int
    lease_id: str
    metrics: Metrics
    decision: Decision


@dataclass(frozen=True)
class ResultRecord:
    """How a trial ended: written before Optuna's row, so that a crash between the two loses nothing."""

    trial_id: int
    study_id: int
    state: TrialStateName
    values: list[float] | None = None
    metrics: Metrics = field(default_factory=dict)
    reason: str | None = None


@dataclass(frozen=True)
class ArtifactRecord:
    """A file that a worker uploaded for a trial. Its bytes are the blob of that id; `sha256` is in hexadecimal."""

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
    """A worker that has claimed."""

    worker_id: str
    host: str
    device: str
    n_lanes: int
    first_seen_at: datetime
    last_seen_at: datetime


@dataclass(frozen=True)
class FinalRecord:
    """One final evaluation of a study, whose trials are those of the linked study.

    `plan` is what it does and `reason` why it looks at the test split again; `ranking` is there when the
    confirmations have ended, `test` or `failure` when all has.
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
    """One narrowing of a study: the ranges of its float parameters from a trial on.

    The first round has no record: its ranges are the definition's. `kept` are the numbers of the trials that the ranges
    close in on, best first, and `requested_by` is who asked.
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
    """Trials from elsewhere that a study's sampler learns from; they are no trials of the study.

    `source` says from where, in words, `digest` what was given, `left_out` how many trials were not taken and why.
    `distributions` are those of parameters that the study's search space does not have.
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


@dataclass(frozen=True)
class TokenRecord:
    """A token without its secret: `digest` is the secret's SHA-256, in hexadecimal."""

    name: str
    digest: str
    scopes: list[str]
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    last_used_at: datetime | None = None
