"""`narrows demo`: a service, workers and a study on this machine, from nothing to an honest test score."""

import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from narrows.cli.examples import example
from narrows.cli.processes import READY, READY_SECONDS, SERVICE_LOG, WORKERS_LOG
from narrows.cli.settings import BY_NAME

if TYPE_CHECKING:
    from rich.console import Console

    from narrows.cli.processes import Process
    from service.client import Client
    from service.schemas.results import Study

Answer = TypeVar("Answer")
File = Annotated[
    Path | None, typer.Argument(metavar="FILE", help="Study definition to run.", show_default="examples/digits.yaml")
]

N_BEST = 5


def demo(file: File = None) -> None:
    """Run a study on this machine, show its best trials and the winner's test score.

    Starts a service and workers, and ends them again.

    The service and the workers take their settings from the environment. Their logs go to narrows-logs/.
    """
    from narrows.cli.output import console
    from narrows.cli.processes import Process, end_on_signals
    from narrows.cli.submit import read_definition
    from service.client import Client

    definition = read_definition(file or example("digits.yaml"))
    end_on_signals()
    out = console()
    out.print("Starting the service …", style="dim")
    with Process(["serve", f"--port={_free_port()}"], SERVICE_LOG) as service:
        server = service.wait_for(READY, READY_SECONDS)
        with Client(server, os.environ.get("NARROWS_TOKEN")) as client:
            study = _create(client, definition)
            out.print(
                f"Study      {study.name}, {study.definition.n_trials} trials, from {file or 'examples/digits.yaml'}"
            )
            out.print(f"Dashboard  {server}/dashboard")
            out.print(f"Logs       {SERVICE_LOG}, {WORKERS_LOG}\n")
            arguments = ["worker", f"--server={server}", f"--study={study.name}"]
            with Process(arguments, WORKERS_LOG) as workers:
                _run(client, study.name, out, service, workers)
                _print_results(client, study.name, out)
                _evaluate(client, study.name, out, service, workers)
    out.print(f"\nTo look closer: make serve, then open http://127.0.0.1:{_usual_port()}/dashboard")


def _create(client: "Client", definition: dict[str, Any]) -> "Study":
    """Create the study under its own name, or the first of name-2, name-3, … that is free."""
    taken = {study.name for study in client.studies()}
    name, attempt = str(definition.get("name")), 2
    while name in taken:
        name = f"{definition['name']}-{attempt}"
        attempt += 1
    return client.create_study({**definition, "name": name})


def _run(client: "Client", name: str, out: "Console", service: "Process", workers: "Process") -> None:
    from service.client.progress import follow

    follow(_checked(lambda: client.study(name), service, workers), out)


def _checked(call: Callable[[], Answer], service: "Process", workers: "Process") -> Callable[[], Answer]:
    """A call to the service that looks first whether service and workers are there."""
    from service.client import UnreachableError

    def checked() -> Answer:
        service.check()
        workers.check()
        try:
            return call()
        except UnreachableError:
            service.check(within_seconds=2.0)  # that it has ended says more than that it cannot be reached
            raise

    return checked


def _print_results(client: "Client", name: str, out: "Console") -> None:
    from narrows.cli.output import trial_table
    from narrows.errors import CommandError
    from service.client.text import metrics_of

    metrics = metrics_of(client.study(name))
    found = client.pareto(name)[:N_BEST] if len(metrics) > 1 else client.best(name, N_BEST)
    if not found:
        reasons = {trial.reason for trial in client.trials(name) if trial.reason}
        raise CommandError("no trial is complete: " + ("; ".join(sorted(reasons)) or f"see {WORKERS_LOG}"))
    out.print()
    out.print(trial_table(metrics, found, states=False, title="The best trials"))


def _evaluate(client: "Client", name: str, out: "Console", service: "Process", workers: "Process") -> None:
    """Train the best configurations again, and show what the test split says of the winner."""
    from narrows.cli.final import follow, show
    from narrows.errors import CommandError

    out.print("\nTraining the best again with fresh seeds, before the test split is looked at …\n", style="dim")
    client.begin_final(name)
    found = follow(_checked(lambda: client.final(name), service, workers), None)
    if found.failure is not None:
        raise CommandError(f"no test score: {found.failure}")
    show(found, out)


def _usual_port() -> int:
    setting = BY_NAME["port"]
    return int(os.environ.get(setting.environment) or str(setting.default))


def _free_port() -> int:
    """The usual port when it is free, else 0: any."""
    port = _usual_port()
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return 0
    return port
