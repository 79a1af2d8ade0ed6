"""Rules for the values of flags that a type cannot say. Each raises typer.BadParameter."""

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
