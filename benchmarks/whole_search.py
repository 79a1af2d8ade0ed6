"""A whole search beside other ways of running it, start included: the case digits-search of benchmarks.training.

The study is examples/digits.yaml as it is. The clock runs from the start of the commands to the end of the last trial.
A service runs already; a worker of Narrows finds no measured times of lanes. All peers use every core.
"""

import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks import local, machine
from benchmarks.peers.searches.digits import Search
from narrows import Client, load_definition
from narrows.cli.bound import bound

ROOT = Path(__file__).parents[1]
STUDY = ROOT / "examples" / "digits.yaml"
POLL_SECONDS = 0.05
SEARCHES = "benchmarks.peers.searches"
FIRST_BATCH = re.compile(r"^(\S+ \S+) INFO (\S+): first batch ([\d.]+) s", re.MULTILINE)
TRAINED = re.compile(r" INFO (\S+): ends after ([\d.]+) s training", re.MULTILINE)

HEADER = (
    "| case | | seconds, start included | Narrows takes | first batch after, s | not training after it "
    "| best accuracy | pruned, epochs |\n| --- | --- | --- | --- | --- | --- | --- | --- |"
)


@dataclass(frozen=True)
class Trial:
    """How one trial ended: the accuracy of its last epoch, and the number of its epochs."""

    accuracy: float
    epochs: int
    pruned: bool


@dataclass(frozen=True)
class Whole:
    """One run. Only Narrows has `first_batch`, in seconds since the command, and `not_training`.

    not_training: share of the time of all worker processes from their first batch to the end of the last trial.
    """

    seconds: float
    trials: list[Trial]
    first_batch: float | None = None
    not_training: float | None = None


PEERS = {
    "loop-per-core": "plain loop without pruning, a process per core",
    "example": "Optuna's PyTorch example loop, a process per core",
    "ray": "Ray Tune with the plain loop, all cores",
    "narrows-auto": "Narrows, lanes auto",
}
"""By the name that benchmarks.training gives to peers of that kind."""
MODULES = {"loop-per-core": "plain_loop", "example": "optuna_example"}
BESIDE = "beside"


def table(definition: dict[str, Any], arguments: Any, peers: list[str], n_processes: int) -> Iterator[str]:
    """Measure the peers in turn, and yield the lines of the table. `definition`: see `study`."""
    yield f"- load of the machine before: {os.getloadavg()[0]:.1f}"
    yield f"- digits-search: {definition['n_trials']} trials of {definition['training']['epochs']} epochs"
    yield ""
    yield HEADER
    names = [name for name in PEERS if name in peers] + ([BESIDE] if arguments.beside else [])
    found: dict[str, list[Whole]] = {name: [] for name in names}
    for repeat in range(arguments.repeats):
        for name in names:
            with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
                whole = _measure(name, definition, arguments, n_processes, Path(folder))
            found[name].append(whole)
            print(f"digits-search, {repeat}, {name}: {whole.seconds:.1f} s", file=sys.stderr, flush=True)
    ours = [one.seconds for one in found.get("narrows-auto", [])]
    for name, measured in found.items():
        yield _row(PEERS.get(name, f"Narrows of {arguments.beside}"), measured, ours)


def study(n_trials: int | None, epochs: int | None) -> dict[str, Any]:
    """Return the definition in examples/digits.yaml, with another number of trials or epochs if these are given."""
    definition: dict[str, Any] = load_definition(STUDY.read_bytes())  # type: ignore[assignment]  # a mapping
    training = definition["training"] | ({} if epochs is None else {"epochs": epochs})
    return definition | {"training": training} | ({} if n_trials is None else {"n_trials": n_trials})


def _row(label: str, measured: list[Whole], ours: list[float]) -> str:
    seconds = [one.seconds for one in measured]
    ratio = f"{statistics.median(ours) / statistics.median(seconds):.2f} of it" if ours else ""
    first = [one.first_batch for one in measured if one.first_batch is not None]
    resting = [100 * one.not_training for one in measured if one.not_training is not None]
    cells = [
        "digits-search",
        label,
        machine.spread(seconds),
        ratio,
        machine.spread(first, 2) if first else "",
        f"{machine.spread(resting)} %" if resting else "",
        machine.spread([max(trial.accuracy for trial in one.trials if not trial.pruned) for one in measured], 4),
        f"{machine.spread([sum(trial.pruned for trial in one.trials) for one in measured], 0)}, "
        f"{machine.spread([sum(trial.epochs for trial in one.trials) for one in measured], 0)}",
    ]
    return f"| {' | '.join(cells)} |"


def _measure(name: str, definition: dict[str, Any], arguments: Any, n_processes: int, folder: Path) -> Whole:
    if name in ("narrows-auto", BESIDE):
        return _narrows(definition, arguments, n_processes, folder, arguments.beside if name == BESIDE else None)
    pruner = definition["pruner"]
    search = Search(
        space_of(definition),
        definition["training"]["epochs"],
        definition["n_trials"],
        arguments.device,
        str(folder),
        pruner["n_startup_trials"],
        pruner["n_warmup_steps"],
        n_processes,
    )
    n_commands = n_processes if name in MODULES else 1  # Ray starts processes itself
    each = [replace(search, process=process) for process in range(n_commands)]
    return _commands(f"{SEARCHES}.{MODULES.get(name, 'ray_tune')}", each, folder)


def space_of(definition: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the search space of a definition with `log` in every field."""
    return {name: {"log": False, **field} for name, field in definition["search_space"].items()}


def _commands(module: str, searches: list[Search], folder: Path) -> Whole:
    """Run a module once for each search, at the same time, until each has printed its last trial."""
    began = time.monotonic()
    processes = []
    for search in searches:
        command = bound([sys.executable, "-m", module, search.to_json()])
        with (folder / f"{search.process}.out").open("wb") as out:
            processes.append(subprocess.Popen(command, cwd=ROOT, stdout=out))
    for process in processes:
        if process.wait() != 0:
            raise RuntimeError(f"{module} ended with status {process.returncode}")
    seconds = time.monotonic() - began
    lines = [line for path in sorted(folder.glob("*.out")) for line in path.read_text().splitlines()]
    return Whole(seconds, [Trial(**json.loads(line)) for line in lines if line.startswith("{")])  # Ray prints more


def _narrows(
    definition: dict[str, Any], arguments: Any, n_processes: int, folder: Path, checkout: Path | None
) -> Whole:
    flags = ("--devices", arguments.device)
    environment = {"XDG_CACHE_HOME": str(folder / "cache")}
    with local.service(folder, checkout=checkout) as server:
        client = Client(server)
        name = client.create_study(definition).name
        began = datetime.now(UTC)
        with local.workers(
            server, folder, arguments.data_dir, n_processes, *flags, checkout=checkout, environment=environment
        ):
            while client.study(name).state == "running":
                time.sleep(POLL_SECONDS)
        trials = list(client.trials(name))
    if any(trial.state == "FAIL" for trial in trials):
        raise RuntimeError(f"trials failed: {[trial.reason for trial in trials]}")
    ended = max(trial.finished_at for trial in trials if trial.finished_at is not None)
    ended_trials = [
        Trial(trial.metrics["validation_accuracy"], 1 + (trial.step or 0), trial.state == "PRUNED") for trial in trials
    ]
    first_batch, not_training = shares((folder / "worker.log").read_text(), began, ended)
    return Whole((ended - began).total_seconds(), ended_trials, first_batch, not_training)


def shares(log: str, began: datetime, ended: datetime) -> tuple[float | None, float | None]:
    """Return seconds until the first batch of any process, and the share of all processes' time not training after it.

    From a worker's log, the time of its command and the end of the last trial. (None, None) if the log lacks the lines
    of first batches, as those of older versions do.
    """
    first = {
        process: datetime.strptime(at, "%Y-%m-%d %H:%M:%S,%f").astimezone()
        for at, process, _ in FIRST_BATCH.findall(log)
    }
    if not first:
        return None, None
    trained = sum(float(seconds) for _, seconds in TRAINED.findall(log))
    whole = sum((ended - at).total_seconds() for at in first.values())
    return (min(first.values()) - began).total_seconds(), 1 - trained / whole
