"""Where studies, trials and everything that workers report are kept."""

from storage.errors import (
    DATABASE_ERRORS,
    DatabaseUnavailableError,
    DuplicateStudyError,
    InvalidDatabaseUrlError,
    StorageError,
)
from storage.records import EpochRecord, LeaseRecord, Outcome, ResultRecord, StudyRecord, WorkerRecord
from storage.store import Store

__all__ = [
    "DATABASE_ERRORS",
    "DatabaseUnavailableError",
    "DuplicateStudyError",
    "EpochRecord",
    "InvalidDatabaseUrlError",
    "LeaseRecord",
    "Outcome",
    "ResultRecord",
    "StorageError",
    "Store",
    "StudyRecord",
    "WorkerRecord",
]
