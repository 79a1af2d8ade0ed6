"""The Python client of the service."""

from service.client.client import Client
from service.client.errors import (
    ClientError,
    MissingPackageError,
    ServiceError,
    UnexpectedAnswerError,
    UnreachableError,
)
from service.client.paths import quoted
from service.client.study import ClientStudy

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
