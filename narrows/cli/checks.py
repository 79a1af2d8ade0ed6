"""Rules for the values of flags that a type cannot say. Each raises typer.BadParameter."""

import os
import re

import typer


def lanes(text: str) -> str:
    """`auto`, or a number of lanes."""
    from service.schemas.study.limits import MAX_LANES

    if text != "auto" and not (text.isdecimal() and 1 <= int(text) <= MAX_LANES):
        raise typer.BadParameter(f"must be auto or a number from 1 to {MAX_LANES}: {text!r}")
    return text


def prefixes(names: list[str] | None) -> list[str]:
    """Names of modules or packages: nothing may be allowed by mistake."""
    from service.schemas.study.entrypoints import MODULE_PATTERN

    for name in names or []:
        if re.fullmatch(MODULE_PATTERN, name) is None:
            raise typer.BadParameter(f"must name a module or package, as mypkg or mypkg.train: {name!r}")
    return names or []


COMMANDS_VARIABLE = "NARROWS_ALLOW_COMMAND"


def commands(words: list[str] | None) -> list[str]:
    """Leading words of commands, as a shell reads them.

    Those of the variable, which typer splits at spaces, are put together again and split at semicolons.
    """
    from service.schemas.study.allowance import command_words

    variable = os.environ.get(COMMANDS_VARIABLE, "")
    if words and words == variable.split():
        words = [text.strip() for text in variable.split(";") if text.strip()]
    for text in words or []:
        try:
            command_words(text)
        except ValueError as error:
            raise typer.BadParameter(str(error)) from None
    return words or []
