"""Errors as the lines that a command prints."""

import typer

from narrows.errors import CommandError

NO_CHOICE = " is not one of "
"""Typer's words for a value that is none of the choices, between the value and these."""


def usage_line(error: typer.TyperException) -> str:
    """What is wrong with the arguments of a command. A value that breaks a rule: its flag, the rule and the value."""
    from pydantic import ValidationError

    from service.schemas.locations import message_of, short

    cause = error.__cause__
    if not isinstance(error, typer.BadParameter) or error.param is None or not isinstance(cause, ValidationError):
        return error.format_message()
    item = cause.errors(include_url=False)[0]
    subject = error.param.get_error_hint().replace("'", "")
    _, is_choice, choices = str(item["msg"]).partition(NO_CHOICE)
    if is_choice:
        allowed = choices.removesuffix(".").replace("'", "")
        return f"{subject} must be one of {allowed}: {short(item['input'])}"
    return message_of(item, subject)


def lines_of(error: Exception) -> list[str] | None:
    """Return the lines to print for an expected error; None for one that is a fault of Narrows."""
    from service.client import ClientError, ServiceError

    if isinstance(error, ServiceError) and error.problem.errors:
        lines = [f"{item.field}: {item.message}" for item in error.problem.errors]
        numbers = [item.line for item in error.problem.errors]
        return [text if line is None else f"line {line}: {text}" for line, text in zip(numbers, lines, strict=True)]
    if isinstance(error, CommandError):
        return str(error).splitlines()
    if isinstance(error, ClientError):
        return [str(error)]
    if isinstance(error, OSError):
        return [f"{error.filename}: {error.strerror}" if error.filename else str(error)]
    return None
