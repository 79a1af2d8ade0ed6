"""`narrows retry`: try failed trials again."""

from typing import TYPE_CHECKING, Annotated

import typer

from narrows.cli.options import StudyName, with_client
from narrows.cli.terminal import say

if TYPE_CHECKING:
    from service.client import Client

Trials = Annotated[
    list[int] | None,
    typer.Option(
        "--trial",
        min=0,
        metavar="N",
        help="Number of a failed trial; repeat the flag for several.",
        show_default="every failed trial that was not tried again",
    ),
]


@with_client
def retry(client: "Client", study: StudyName, trial: Trials = None) -> None:
    """Try failed trials of a study again.

    Each becomes a new trial with the same parameters, and n_trials grows by one.
    """
    from service.client.text import counted

    numbers = trial or _failed_trials(client, study)
    if not numbers:
        say(f"{study} has no failed trial to try again")
        return
    for number in numbers:
        say(f"trial {number} is tried again as trial {client.retry(study, number).number}")
    found = client.study(study)
    hint = f": narrows resume {study} lets it go on" if found.state in ("paused", "stopped") else ""
    say(f"{study} is {found.state}, {counted(found.definition.n_trials, 'trial')}{hint}")


def _failed_trials(client: "Client", study: str) -> list[int]:
    trials = list(client.trials(study))
    retried = {trial.retry_of for trial in trials}
    return [trial.number for trial in trials if trial.state == "FAIL" and trial.number not in retried]
