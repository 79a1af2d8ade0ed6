"""Where studies, trials and everything that workers report are kept."""

from storage.errors import (
    DATABASE_ERRORS,
    DatabaseOwnedError,
    DatabaseUnavailableError,
    DuplicateStudyError,
    InvalidDatabaseUrlError,
    StorageClosedError,
    StorageError,
    StorageFailedError,
)
from storage.group_commit import GroupCommitStorage
from storage.records import EpochRecord, LeaseRecord, Outcome, ResultRecord, StudyRecord, WorkerRecord
from storage.store import Store

__all__ = [
    "DATABASE_ERRORS",
    "DatabaseOwnedError",
    "DatabaseUnavailableError",
    "DuplicateStudyError",
    "EpochRecord",
    "GroupCommitStorage",
    "InvalidDatabaseUrlError",
    "LeaseRecord",
    "Outcome",
    "ResultRecord",
    "StorageClosedError",
    "StorageError",
    "StorageFailedError",
    "Store",
    "StudyRecord",
    "WorkerRecord",
]
