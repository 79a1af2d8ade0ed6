"""Where studies, trials and everything that workers report are kept."""

from storage.batch import Commit
from storage.blobs.blob_store import BlobFile, BlobStore
from storage.blobs.folder_store import FolderStore
from storage.blobs.opening import open_artifacts
from storage.database.opening import open_engine, parse_url
from storage.errors import (
    DATABASE_ERRORS,
    BlobMissingError,
    BlobStoreError,
    BlobStoreFullError,
    DatabaseOwnedError,
    DatabaseUnavailableError,
    DuplicateStudyError,
    InvalidArtifactsError,
    InvalidDatabaseUrlError,
    StorageClosedError,
    StorageError,
    StorageFailedError,
)
from storage.records import (
    ArtifactRecord,
    EpochRecord,
    FinalRecord,
    ImportRecord,
    LeaseRecord,
    Outcome,
    ResultRecord,
    RoundRecord,
    StudyRecord,
    TokenRecord,
    WorkerRecord,
)
from storage.store import Store
from storage.trials.group_commit_storage import GroupCommitStorage

__all__ = [
    "DATABASE_ERRORS",
    "ArtifactRecord",
    "BlobFile",
    "BlobMissingError",
    "BlobStore",
    "BlobStoreError",
    "BlobStoreFullError",
    "Commit",
    "DatabaseOwnedError",
    "DatabaseUnavailableError",
    "DuplicateStudyError",
    "EpochRecord",
    "FinalRecord",
    "FolderStore",
    "GroupCommitStorage",
    "ImportRecord",
    "InvalidArtifactsError",
    "InvalidDatabaseUrlError",
    "LeaseRecord",
    "Outcome",
    "ResultRecord",
    "RoundRecord",
    "StorageClosedError",
    "StorageError",
    "StorageFailedError",
    "Store",
    "StudyRecord",
    "TokenRecord",
    "WorkerRecord",
    "open_artifacts",
    "open_engine",
    "parse_url",
]
