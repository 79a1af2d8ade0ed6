"""`narrows import`: trials from elsewhere for a study's sampler."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from narrows.cli.import_sources import FoundTrials, is_journal, read_source
from narrows.cli.options import with_client
from narrows.cli.terminal import complain, say
from narrows.errors import CommandError

if TYPE_CHECKING:
    from service.client import Client

PART_BYTES = 2 * 1024**2
"""Largest JSON of the trials in one call: with its distributions a call stays below the limit of 4 MiB."""
MAX_SHOWN = 3
"""How many of the trials that cannot be read are named."""

Source = Annotated[
    str,
    typer.Argument(
        metavar="FILE_OR_URL",
        help="CSV file, journal file of Optuna, or URL of an Optuna database such as sqlite:///optuna.db.",
        show_default=False,
    ),
]
Into = Annotated[
    str, typer.Option("--into", metavar="STUDY", help="Study whose sampler learns from the trials.", show_default=False)
]
SourceStudy = Annotated[
    str | None,
    typer.Option("--source-study", help="Name of the study in the database.", show_default="the only one there"),
]
Defaults = Annotated[
    list[str] | None,
    typer.Option(
        "--default",
        metavar="NAME=VALUE",
        help="Value of a parameter for trials that lack it, such as epochs=5. May be repeated.",
        show_default=False,
    ),
]


@with_client
def import_trials(
    client: "Client", source: Source, into: Into, source_study: SourceStudy = None, default: Defaults = None
) -> None:
    """Give a study's sampler the trials of a CSV file or of an Optuna database to learn from."""
    definition = client.study(into).definition
    defaults = dict(_default(text) for text in default or ())
    if source_study is not None and "://" not in source and not is_journal(Path(source)):
        raise typer.BadParameter("--source-study needs a database: a CSV file has one study")
    found = read_source(source, source_study, definition)
    parts = list(_parts(found.trials))
    n_trials, left_out = 0, Counter[str]()
    for number, part in enumerate(parts, 1):
        of_all = f" (part {number} of {len(parts)})" if len(parts) > 1 else ""
        body = {"source": f"{found.source}{of_all}", "distributions": found.distributions, "trials": part}
        made = client.import_trials(into, {**body, "defaults": defaults, "allow_empty": len(parts) > 1})
        n_trials += made.n_trials
        left_out.update(made.left_out.model_dump())
    if n_trials == 0 and len(parts) > 1:
        problem = f"at least one trial must fit the search space: {found.source} has none"
        raise CommandError(f"{problem}{_counted(left_out, found)}")
    say(f"{into} learns from {n_trials} trials of {found.source}{_counted(left_out, found)}")
    for reason in found.unreadable[:MAX_SHOWN]:
        complain(f"left out: {reason}")


def _default(text: str) -> tuple[str, Any]:
    name, is_given, value = text.partition("=")
    if not is_given:
        raise typer.BadParameter(f"--default must be NAME=VALUE: {text!r}")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def _parts(trials: Sequence[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """Yield the trials in lists that are small enough for one call each."""
    part: list[dict[str, Any]] = []
    size = 0
    for trial in trials:
        n_bytes = len(json.dumps(trial, ensure_ascii=False).encode(errors="replace")) + 1
        if part and size + n_bytes > PART_BYTES:
            yield part
            part, size = [], 0
        part.append(trial)
        size += n_bytes
    if part:
        yield part
    elif not trials:
        raise CommandError("there is no trial to import")


def _counted(left_out: Counter[str], found: FoundTrials) -> str:
    """How many trials were left out for which reason, as the end of a sentence."""
    reasons = [f"{n} because of their {name}" for name, n in left_out.items() if n]
    reasons += [f"{len(found.unreadable)} that cannot be read"] if found.unreadable else []
    return f"; left out: {', '.join(reasons)}" if reasons else ""
