"""Regular expressions that find numbers in the output of a program. RE2 matches them, in linear time."""

MAX_MEMORY = 1024**2
"""Bytes that RE2 may use for one expression."""


def check_pattern(text: str, group: str) -> str:
    """The same expression. Raises ValueError if RE2 does not compile it or if it does not have the named group."""
    import re2

    options = re2.Options()
    options.log_errors = False
    options.max_mem = MAX_MEMORY
    try:
        pattern = re2.compile(text, options)
    except re2.error as error:
        reason = error.args[0]
        told = reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)
        raise ValueError(f"RE2 does not compile the regular expression: {told}: {text!r}") from None
    if group not in pattern.groupindex:
        raise ValueError(f"the regular expression must have a group (?P<{group}>…): {text!r}")
    return text
