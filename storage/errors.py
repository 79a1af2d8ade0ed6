"""Errors of the storage.

StorageError
├── InvalidDatabaseUrlError   the address of the database cannot be used
├── DatabaseUnavailableError  the database does not answer
├── StorageFailedError        the database refused a write for good; nothing is written any more
├── StorageClosedError        the storage was closed
├── DatabaseOwnedError        another service has the database
│   └── DatabaseTakenError    another service had the database while this one was cut off from it
├── DuplicateStudyError       a study of that name exists
├── MissingStudyError         there is no such study
├── InvalidArtifactsError     the place for artifacts cannot be used
└── BlobStoreError            the place for artifacts does not work at the moment
    ├── BlobStoreFullError    it has no room
    └── BlobMissingError      it has no such blob
"""

from optuna.exceptions import StorageInternalError
from sqlalchemy.exc import DBAPIError, InterfaceError, InternalError, OperationalError, TimeoutError

DATABASE_ERRORS = (OperationalError, InterfaceError, InternalError, TimeoutError, StorageInternalError)
"""What a call ends in when the database is gone or overloaded; the last one is Optuna's name for them."""


class StorageError(Exception):
    """Anything that the storage refuses or cannot do."""


class InvalidDatabaseUrlError(StorageError):
    """The address of the database cannot be used."""


class DatabaseUnavailableError(StorageError):
    """The database does not answer."""


class DuplicateStudyError(StorageError):
    """A study of that name exists, made by Narrows or by Optuna."""


class MissingStudyError(StorageError):
    """There is no such study in another database."""


class StorageFailedError(StorageError):
    """The database refused a write for good; nothing is written any more."""


class StorageClosedError(StorageError):
    """The storage was closed."""


class DatabaseOwnedError(StorageError):
    """Another service has the database."""


class DatabaseTakenError(DatabaseOwnedError):
    """Another service had the database while this one was cut off from it."""


class InvalidArtifactsError(StorageError):
    """The place for artifacts cannot be used."""


class BlobStoreError(StorageError):
    """The place for artifacts does not work at the moment."""


class BlobStoreFullError(BlobStoreError):
    """The place for artifacts has no room."""


class BlobMissingError(BlobStoreError):
    """There is no such blob: it was removed, by us or behind our back."""


def reason_of(error: Exception) -> str:
    """What the database itself said, in one line."""
    said = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    lines = str(said).strip().splitlines()
    return lines[0] if lines else type(said).__name__
