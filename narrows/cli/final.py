"""`narrows final`: confirm the best trials, and what the test split says of the winner."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from narrows.cli.options import DEFAULT, AsJson, Server, StudyName, Token
from narrows.errors import CommandError
from service.client.text import progress, sentences

if TYPE_CHECKING:
    from rich.console import Console

    from service.schemas.final import Final

POLL_SECONDS = 0.5

TopK = Annotated[int | None, typer.Option("--top-k", min=1, help="Configurations to train again.", show_default="3")]
NSeeds = Annotated[int | None, typer.Option("--n-seeds", min=1, help="Fresh seeds of each.", show_default="3")]
OnValidation = Annotated[
    bool, typer.Option("--train-on-validation", help="Train the tested model on train and validation data together.")
]
Reason = Annotated[str | None, typer.Option("--reason", help="Why, for --force.", show_default=False)]
Force = Annotated[bool, typer.Option("--force", help="Look at the test split again; that and the --reason are kept.")]
Show = Annotated[bool, typer.Option("--show", help="Show how far it is, or its record, and begin nothing.")]
Wait = Annotated[bool, typer.Option("--wait/--no-wait", help="Wait for the record.")]


def final(
    study: StudyName,
    top_k: TopK = None,
    n_seeds: NSeeds = None,
    train_on_validation: OnValidation = False,
    force: Force = False,
    reason: Reason = None,
    show_only: Show = False,
    wait: Wait = True,
    as_json: AsJson = False,
    server: Server = DEFAULT["server"],
    token: Token = DEFAULT["token"],
) -> int:
    """Confirm the best trials with fresh seeds, evaluate the winner on the test split once, and show the record."""
    from narrows.cli.output import console, print_json
    from service.client import Client, quoted
    from service.client.retries import Retries

    asked: dict[str, Any] = {"top_k": top_k, "n_seeds": n_seeds, "train_on_validation": train_on_validation or None}
    asked |= {"force": force or None, "reason": reason}
    given = {name: value for name, value in asked.items() if value is not None}
    if show_only and given:
        raise CommandError(f"--show begins nothing: it does not go with --{next(iter(given)).replace('_', '-')}")
    with Client(server, token) as client:
        found = client.final(study) if show_only else client.begin_final(study, given)
        out = console()
        if wait and not show_only:
            retries = Retries(limit_seconds=30.0)
            found = follow(lambda: retries(lambda: client.final(study)), None if as_json else out)
        if as_json:
            print_json(client.get(f"studies/{quoted(study)}/final"))
        else:
            show(found, out)
    return 1 if found.state == "failed" else 0


def follow(
    fetch: Callable[[], "Final"], console: "Console | None", *, sleep: Callable[[float], None] = time.sleep
) -> "Final":
    """Return an evaluation when it has ended; a line for every trial that ends goes to the console."""
    done = -1
    while True:
        found = fetch()
        if console is not None and found.state == "running" and found.trials_done != done:
            console.print(progress(found), style="dim")
        done = found.trials_done
        if found.state != "running":
            return found
        sleep(POLL_SECONDS)


def show(found: "Final", console: "Console") -> None:
    """What each candidate was and is, and the sentences that the record comes to."""
    console.print(candidate_table(found))
    for line in sentences(found):
        console.print(line, soft_wrap=True)


def candidate_table(found: "Final") -> Any:
    from narrows.cli.output import plain_table
    from service.client.text import number, params_line

    table = plain_table(f"Confirmed: {found.metric}")
    for name in ("trial", "validation said", "confirmed mean", "standard error", "seeds"):
        table.add_column(name, justify="right")
    table.add_column("params", overflow="fold")
    for one in found.candidates:
        mean, error = ("" if value is None else number(value) for value in (one.confirmed_mean, one.standard_error))
        seeds = f"{len(one.confirmed_values)}/{found.n_seeds}"
        said = number(one.validation_said)
        table.add_row(str(one.trial_number), said, mean, error, seeds, params_line(one.params))
    return table
