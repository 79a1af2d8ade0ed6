"""Ask before something is lost."""

import sys
from typing import Annotated

import typer

from narrows.errors import CommandError

Yes = Annotated[bool, typer.Option("--yes", help="Do not ask. Needed where there is no terminal to ask on.")]


def confirm(question: str, *, yes: bool) -> None:
    """Return if `yes` is set, or after the answer yes. Raises CommandError, also if there is no terminal to ask on."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise CommandError(f"{question} There is no terminal to ask on: --yes answers yes")
    if not typer.confirm(question):
        raise CommandError("nothing is changed")
