"""The Python client of the service."""

from service.client.client import Client, quoted
from service.client.errors import ClientError, ServiceError, UnexpectedAnswerError, UnreachableError

__all__ = ["Client", "ClientError", "ServiceError", "UnexpectedAnswerError", "UnreachableError", "quoted"]
