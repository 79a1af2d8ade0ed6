"""Ask before something is lost."""

import sys
from typing import Annotated

import typer

from narrows.errors import CommandError

Yes = Annotated[bool, typer.Option("--yes", help="Do not ask. Without a terminal nothing is asked either.")]


def confirm(question: str, *, yes: bool) -> None:
    """Return if `yes` is set, if there is no terminal to ask on, or after the answer yes. Raises CommandError."""
    if not yes and sys.stdin.isatty() and not typer.confirm(question):
        raise CommandError("nothing is changed")
