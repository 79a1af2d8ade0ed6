"""Errors of the storage.

StorageError
├── InvalidDatabaseUrlError   the address of the database cannot be used
├── DatabaseUnavailableError  the database does not answer
└── DuplicateStudyError       a study of that name exists
"""


class StorageError(Exception):
    """Anything that the storage refuses or cannot do."""


class InvalidDatabaseUrlError(StorageError):
    """The address of the database cannot be used."""


class DatabaseUnavailableError(StorageError):
    """The database does not answer."""


class DuplicateStudyError(StorageError):
    """A study of that name exists, made by Narrows or by Optuna."""
