"""What went wrong, in lines for people."""

from narrows.errors import CommandError


def lines_of(error: Exception) -> list[str] | None:
    """The lines to print for an error that can happen, or None for one that should not."""
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
