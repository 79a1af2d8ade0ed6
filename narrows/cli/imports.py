"""`narrows import`: trials from elsewhere for a study's sampler."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from narrows.cli.import_sources import FoundTrials, is_csv, read_source
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
        help="CSV file, journal or SQLite file of Optuna, or URL of an Optuna database such as sqlite:///optuna.db.",
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
    from service.client import ClientError
    from service.client.text import counted

    definition = client.study(into).definition
    defaults = dict(_default(text) for text in default or ())
    if source_study is not None and is_csv(source):
        raise typer.BadParameter("--source-study needs a database: a CSV file has one study")
    found = read_source(source, source_study, definition)
    calls = [{**part, "defaults": defaults} for part in _calls(found)]
    if len(calls) > 1:
        _check_all(client, into, calls, found)
    n_trials, left_out = 0, Counter[str]()
    for number, call in enumerate(calls, 1):
        try:
            made = client.import_trials(into, call)
        except ClientError:
            if number > 1:
                which = "part 1" if number == 2 else f"parts 1 to {number - 1}"
                done = f"{which} of {len(calls)}, with {counted(n_trials, 'trial')}, {'is' if number == 2 else 'are'}"
                complain(f"{done} imported: the same command imports the rest, and no trial twice")
            raise
        n_trials += made.n_trials
        left_out.update(made.left_out.model_dump())
    say(f"{into} learns from {counted(n_trials, 'trial')} of {found.source}{_counted(left_out, found)}")
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


def _calls(found: FoundTrials) -> Iterator[dict[str, Any]]:
    """Yield the bodies of the calls that import all trials, in several parts if they are too large for one."""
    parts = list(_parts(found.trials))
    for number, part in enumerate(parts, 1):
        of_all = f" (part {number} of {len(parts)})" if len(parts) > 1 else ""
        about = {"source": f"{found.source}{of_all}", "distributions": found.distributions}
        yield {**about, "trials": part, "allow_empty": len(parts) > 1}


def _check_all(client: "Client", into: str, calls: Sequence[Mapping[str, Any]], found: FoundTrials) -> None:
    """Check all parts before the first one is imported. Raises ClientError and CommandError."""
    from service.schemas.study.samplers import MAX_IMPORTED

    n_known = len(client.imports(into))
    answers = [client.import_trials(into, call, check=True) for call in calls]
    left_out = Counter[str]()
    for answer in answers:
        left_out.update(answer.left_out.model_dump())
    if sum(answer.n_trials for answer in answers) == 0:
        problem = f"at least one trial must fit the search space: {found.source} has none"
        raise CommandError(f"{problem}{_counted(left_out, found)}")
    n_new = sum(answer.n_trials for answer in answers if answer.number >= n_known)  # others are imported already
    n_all = client.study(into).n_imported + n_new
    if n_all > MAX_IMPORTED:
        raise CommandError(f"a study must import at most {MAX_IMPORTED} trials: {n_all} with {found.source}")


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
