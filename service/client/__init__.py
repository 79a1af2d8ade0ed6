"""The Python client of the service."""

from service.client.client import Client
from service.client.client_study import ClientStudy
from service.client.errors import (
    ClientError,
    MissingPackageError,
    ServiceError,
    UnexpectedAnswerError,
    UnreachableError,
)
from service.client.paths import quoted

__all__ = [
    "Client",
    "ClientError",
    "ClientStudy",
    "MissingPackageError",
    "ServiceError",
    "UnexpectedAnswerError",
    "UnreachableError",
    "quoted",
]
