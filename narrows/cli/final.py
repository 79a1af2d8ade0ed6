"""`narrows final`: train the best configurations again, and evaluate the winner on the test split."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from narrows.cli.options import AsJson, StudyName, with_client
from narrows.errors import CommandError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from service.client import Client
    from service.schemas.final import Final

POLL_SECONDS = 0.5

TopK = Annotated[
    int | None, typer.Option("--top-k", min=1, help="Best configurations to train again.", show_default="3")
]
NSeeds = Annotated[
    int | None, typer.Option("--n-seeds", min=1, help="New seeds to train each of them with.", show_default="3")
]
OnValidation = Annotated[
    bool, typer.Option("--train-on-validation", help="Train the model to test on train and validation data together.")
]
Reason = Annotated[str | None, typer.Option("--reason", help="Reason for --force.", show_default=False)]
Force = Annotated[
    bool, typer.Option("--force", help="Use the test split again. The record then says so, with --reason.")
]
Show = Annotated[
    bool, typer.Option("--show", help="Show the progress or the record of an evaluation, and start nothing.")
]
Wait = Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until the evaluation has ended.")]


@with_client
def final(
    client: "Client",
    study: StudyName,
    top_k: TopK = None,
    n_seeds: NSeeds = None,
    train_on_validation: OnValidation = False,
    force: Force = False,
    reason: Reason = None,
    show_only: Show = False,
    wait: Wait = True,
    as_json: AsJson = False,
) -> int:
    """Train the best configurations again with new seeds, and evaluate the winner on the test split, once.

    The record says how the candidates compare and what the test split gave. The status is 1 if there is no test score.
    """
    from narrows.cli.output import console, print_json
    from service.client import quoted
    from service.client.retries import Retries

    options: dict[str, Any] = {"top_k": top_k, "n_seeds": n_seeds, "train_on_validation": train_on_validation or None}
    options |= {"force": force or None, "reason": reason}
    given = {name: value for name, value in options.items() if value is not None}
    if show_only and given:
        raise CommandError(f"--show starts nothing, so it does not go with --{next(iter(given)).replace('_', '-')}")
    found = client.final(study) if show_only else client.begin_final(study, given)
    out = console()
    if wait and not show_only:
        retries = Retries(limit_seconds=30.0)
        found = wait_for_final(lambda: retries(lambda: client.final(study)), None if as_json else out)
    if as_json:
        print_json(client.get(f"studies/{quoted(study)}/final"))
    else:
        print_final(found, out)
    return 1 if found.state == "failed" else 0


def wait_for_final(
    fetch: Callable[[], "Final"], console: "Console | None", *, sleep: Callable[[float], None] = time.sleep
) -> "Final":
    """Wait until an evaluation has ended, and return it. Each trial that ends prints a line to the console, if any."""
    from service.client.text import progress

    done = -1
    while True:
        found = fetch()
        if console is not None and found.state == "running" and found.trials_done != done:
            console.print(progress(found), style="dim")
        done = found.trials_done
        if found.state != "running":
            return found
        sleep(POLL_SECONDS)


def print_final(found: "Final", console: "Console", *, service_stays: bool = True) -> None:
    """Print the candidates as a table, and the result in sentences."""
    from service.client.text import sentences

    console.print(candidate_table(found))
    for line in sentences(found, service_stays=service_stays):
        console.print(line, soft_wrap=True)


def candidate_table(found: "Final") -> "Table":
    """Return a table with a row for each candidate: its value in the search and its values with new seeds."""
    from narrows.cli.output import plain_table
    from service.client.text import number, params_line

    table = plain_table(f"Confirmed: {found.metric}")
    for name in ("trial", "in the search", "confirmed mean", "standard error", "seeds"):
        table.add_column(name, justify="right")
    table.add_column("params", overflow="fold")
    for candidate in found.candidates:
        figures = (candidate.confirmed_mean, candidate.standard_error)
        mean, error = ("" if value is None else number(value) for value in figures)
        seeds = f"{len(candidate.confirmed_values)}/{found.n_seeds}"
        in_search = number(candidate.validation_said)
        table.add_row(str(candidate.trial_number), in_search, mean, error, seeds, params_line(candidate.params))
    return table
