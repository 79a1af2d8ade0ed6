"""Errors of the storage.

StorageError
├── InvalidDatabaseUrlError   the database URL cannot be used
├── DatabaseUnavailableError  the database does not answer
├── DatabaseLostError         the file of the database was deleted or replaced
├── StorageFailedError        the database refused a write permanently; nothing is written any more
├── StorageClosedError        the storage was closed
├── DatabaseOwnedError        another service owns the database
│   └── DatabaseTakenError    another service took the database while this one was disconnected
├── DuplicateStudyError       a study with this name exists
├── MissingStudyError         another database has no such study
├── InvalidArtifactsError     the folder or bucket for artifacts cannot be used
└── BlobStoreError            the blob store does not work at the moment
    ├── BlobStoreFullError    it has no space left
    └── BlobMissingError      it has no such blob
"""

from optuna.exceptions import StorageInternalError
from sqlalchemy.exc import DBAPIError, InterfaceError, InternalError, OperationalError, TimeoutError

DATABASE_ERRORS = (OperationalError, InterfaceError, InternalError, TimeoutError, StorageInternalError)
"""Errors of calls to a database that is gone or overloaded. Optuna wraps some of them in StorageInternalError."""


class StorageError(Exception):
    """Base class of all errors that the storage raises itself."""


class InvalidDatabaseUrlError(StorageError):
    """The database URL cannot be used."""


class DatabaseUnavailableError(StorageError):
    """The database does not answer."""


class DatabaseLostError(StorageError):
    """The file of the database was deleted or replaced while it was in use."""


class DuplicateStudyError(StorageError):
    """A study with this name exists, created by Narrows or by Optuna."""


class MissingStudyError(StorageError):
    """Another database has no such study."""


class StorageFailedError(StorageError):
    """The database refused a write permanently, so nothing is written any more."""


class StorageClosedError(StorageError):
    """The storage was closed."""


class DatabaseOwnedError(StorageError):
    """Another service owns the database."""


class DatabaseTakenError(DatabaseOwnedError):
    """Another service took the database while this one was disconnected."""


class InvalidArtifactsError(StorageError):
    """The folder or bucket for artifacts cannot be used."""


class BlobStoreError(StorageError):
    """The blob store does not work at the moment."""


class BlobStoreFullError(BlobStoreError):
    """The blob store has no space left."""


class BlobMissingError(BlobStoreError):
    """The blob store has no such blob: it was removed, by the service or by another program."""


def reason_of(error: Exception) -> str:
    """The first line of the database's own error message, or the error's type if it has no message."""
    cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    lines = str(cause).strip().splitlines()
    return lines[0] if lines else type(cause).__name__
