"""Errors as the lines that a command prints."""

from narrows.errors import CommandError


def lines_of(error: Exception) -> list[str] | None:
    """Return the lines to print for an expected error; None for one that is a fault of Narrows."""
    from service.client import ClientError, ServiceError

    if isinstance(error, ServiceError) and error.problem.errors:
        return [f"{item.field}: {item.message}" for item in error.problem.errors]
    if isinstance(error, CommandError):
        return str(error).splitlines()
    if isinstance(error, ClientError):
        return [str(error)]
    if isinstance(error, OSError):
        return [f"{error.filename}: {error.strerror}" if error.filename else str(error)]
    return None
