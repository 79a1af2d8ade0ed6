"""`narrows demo`: a service, workers and a study on this machine, up to the test score of the best configuration."""

import os
import shlex
import shutil
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from narrows.cli.examples import example
from narrows.cli.settings import BY_NAME
from narrows.errors import CommandError

if TYPE_CHECKING:
    from rich.console import Console

    from narrows.cli.local_service import LocalService
    from service.client import Client

Answer = TypeVar("Answer")
File = Annotated[
    Path | None, typer.Argument(metavar="FILE", help="Study definition to run.", show_default="examples/digits.yaml")
]
Keep = Annotated[
    Path | None,
    typer.Option(
        "--keep",
        metavar="DIR",
        help="New folder in which database, artifacts and logs are kept.",
        show_default="a temporary folder, removed at the end",
    ),
]

N_BEST = 5


def demo(file: File = None, keep: Keep = None) -> None:
    """Run a study on this machine, then show its best trials and the winner's test score.

    The demo starts a service and workers and ends them again. They take their settings from the environment, except
    NARROWS_DATABASE and NARROWS_ARTIFACTS: the demo always has a database and artifacts of its own.
    """
    from narrows.cli.local_service import local_service
    from narrows.cli.output import console
    from narrows.cli.processes import end_on_signals
    from narrows.cli.submit import read_definition
    from service.client import Client
    from service.client.text import counted

    file = file or example("digits.yaml")
    definition = read_definition(file)
    end_on_signals()
    out = console()
    with _folder(keep) as folder:
        out.print("Starting the service …", style="dim")
        with (
            local_service(folder, folder / "logs", _free_port()) as service,
            Client(service.server, os.environ.get("NARROWS_TOKEN")) as client,
        ):
            study = client.create_study(definition)
            service.start_workers(f"--study={study.name}")
            out.print(f"Study      {study.name}, {counted(study.definition.n_trials, 'trial')}, from {_relative(file)}")
            out.print(f"Page       {service.server}/studies/{study.name}, until the demo ends")
            out.print(f"Logs       {folder / 'logs'}\n")
            _search(client, study.name, out, service)
            _show_best(client, study.name, out, service)
            _evaluate(client, study.name, out, service, is_kept=keep is not None)
            _show_time(client, out)
    _print_next(keep, file, out)


@contextmanager
def _folder(keep: Path | None) -> Iterator[Path]:
    """Make the folder to keep, or a temporary one. Raises CommandError when there is already a database in it."""
    if keep is None:
        with TemporaryDirectory(prefix="narrows-demo-", ignore_cleanup_errors=True) as folder:
            yield Path(folder)
        return
    if (keep / "narrows.db").exists():
        raise CommandError(f"--keep takes a new folder: {keep} already has a narrows.db")
    keep.mkdir(parents=True, exist_ok=True)
    yield keep


def _search(client: "Client", name: str, out: "Console", service: "LocalService") -> None:
    from service.client.progress import follow

    follow(_checked(lambda: client.study(name), service), out)


def _checked(call: Callable[[], Answer], service: "LocalService") -> Callable[[], Answer]:
    """Return the call with a check before it that service and workers still run."""
    from service.client import UnreachableError

    def checked() -> Answer:
        service.check()
        try:
            return call()
        except UnreachableError:
            service.check(within_seconds=2.0)  # an ended service explains more than one that cannot be reached
            raise

    return checked


def _show_best(client: "Client", name: str, out: "Console", service: "LocalService") -> None:
    from narrows.cli.output import best_of, trial_table
    from service.client.text import metrics_of

    study = client.study(name)
    trials = best_of(client, study, N_BEST)
    if not trials:
        reasons = {trial.reason for trial in client.trials(name) if trial.reason}
        shown = "; ".join(sorted(reasons)) or service.log_end()
        raise CommandError(f"no trial is complete: {shown}")
    out.print()
    out.print(trial_table(metrics_of(study), trials, states=False, title="The best trials"))


def _evaluate(client: "Client", name: str, out: "Console", service: "LocalService", *, is_kept: bool) -> None:
    """Train the best configurations again, and show the winner's score on the test split."""
    from narrows.cli.final import print_final, wait_for_final

    out.print("\nTraining the best again with fresh seeds, before the test split is used …\n", style="dim")
    client.begin_final(name)
    final = wait_for_final(_checked(lambda: client.final(name), service), None)
    if final.failure is not None:
        raise CommandError(f"no test score: {final.failure}")
    print_final(final, out, service_stays=is_kept)


def _show_time(client: "Client", out: "Console") -> None:
    """Print what the workers have spent their time on."""
    from service.client.text import share_of_time

    seconds = [worker.seconds for worker in client.workers().workers if worker.seconds is not None]
    out.print(f"\nThe workers' time: {share_of_time(seconds)}.", style="dim", soft_wrap=True)


def _print_next(keep: Path | None, file: Path, out: "Console") -> None:
    """Print the commands to look at what was kept, and those to search with a service that stays."""
    narrows = "narrows" if shutil.which("narrows") else shlex.quote(sys.argv[0])
    page = f"http://127.0.0.1:{_usual_port()}"
    lines = []
    if keep is None:
        lines += ["Nothing of this demo is kept. To keep its database, artifacts and logs: narrows demo --keep DIR"]
    else:
        artifacts = shlex.quote(str(keep / "narrows-artifacts"))
        database = shlex.quote(f"sqlite:///{keep / 'narrows.db'}")
        lines += [f"Database, artifacts and logs are kept in {keep}. To look at them, open {page} after", ""]
        lines += [f"  {narrows} serve --database {database} --artifacts {artifacts}"]
    lines += [
        "",
        f"To search with a service that stays, run each in its own terminal; {page} shows the study.",
        "",
    ]
    commands = ("serve", "worker", f"submit {shlex.quote(str(_relative(file)))} --watch")
    lines += [f"  {narrows} {command}" for command in commands]
    out.print("\n" + "\n".join(lines), soft_wrap=True)


def _relative(file: Path) -> Path:
    """Return a path as seen from the current folder, if it is below that."""
    return file.relative_to(Path.cwd()) if file.is_relative_to(Path.cwd()) else file


def _usual_port() -> int:
    setting = BY_NAME["port"]
    return int(os.environ.get(setting.environment) or str(setting.default))


def _free_port() -> int:
    """Return the usual port if it is free, else 0, which means any free port."""
    port = _usual_port()
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return 0
    return port
