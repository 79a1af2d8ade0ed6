"""Claims and reports while slow samplers work: a GP study of 300 trials and a TPE study of 10,000, at the same time.

    python -m benchmarks.sampling [--seconds 30] [--repeats 3] [--record]

Workers are connections of a client process on the same cores. Each claims a trial, reports 5 epochs with pauses as if
it trained, completes the trial, and claims again. For comparison the report names the duration of Optuna's own ask on
the same study in memory.
"""

import asyncio
import random
import secrets
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial

from benchmarks import local, machine
from benchmarks.connection import Connection
from benchmarks.storage import N_REPORTS, database
from service.client import Client
from storage import GroupCommitStorage

SPACE = {
    "learning_rate": {"type": "float", "low": 1e-6, "high": 1e-2, "log": True},
    "dropout": {"type": "float", "low": 0.0, "high": 0.5},
    "batch_size": {"type": "int", "low": 16, "high": 512},
}
DISTRIBUTIONS: dict[str, BaseDistribution] = {
    "learning_rate": FloatDistribution(1e-6, 1e-2, log=True),
    "dropout": FloatDistribution(0.0, 0.5),
    "batch_size": IntDistribution(16, 512),
}
STUDIES = {"gp": (300, 4, 2.0), "tpe": (10_000, 8, 1.0)}
"""For each sampler: finished trials, workers, and the mean pause between two reports, in seconds."""
Seconds = dict[str, list[float]]


def definition(sampler: str) -> dict[str, Any]:
    """Return the definition of the study with a sampler."""
    return {
        "name": sampler,
        "search_space": SPACE,
        "training": {"dataset": "digits", "model": "mlp"},
        "sampler": {"name": sampler, "seed": 0},
        "pruner": "median",
        "n_trials": 1_000_000,
    }


def finished_trials(n_trials: int) -> list[FrozenTrial]:
    """Return random finished trials with parameters, a value and intermediate values; always the same ones."""
    numbers = random.Random(0)
    return [
        optuna.create_trial(
            params={
                "learning_rate": 10 ** numbers.uniform(-6, -2),
                "dropout": numbers.uniform(0, 0.5),
                "batch_size": numbers.randint(16, 512),
            },
            distributions=DISTRIBUTIONS,
            value=numbers.random(),
            intermediate_values={step: numbers.random() for step in range(N_REPORTS)},
        )
        for _ in range(n_trials)
    ]


def fill(url: str) -> None:
    """Add the finished trials to the studies, which a service has created."""
    storage = GroupCommitStorage(url)
    for sampler, (n_trials, _, _) in STUDIES.items():
        study_id = storage.get_study_id_from_name(sampler)
        with storage.transaction():
            for trial in finished_trials(n_trials):
                storage.create_new_trial(study_id, trial)
    storage.close()


async def work(connection: Connection, sampler: str, worker: int, pause: float, until: float) -> None:
    """Run trials one after another as one worker, with pauses as if it trained."""
    await asyncio.sleep(random.random() * pause * N_REPORTS)  # so that workers do not run in step
    while time.perf_counter() < until:
        claim = {"claim_id": secrets.token_hex(8), "worker": {"id": f"{sampler}-{worker}"}}
        leases = await connection.post("/v1/claims", {**claim, "study": sampler}, f"{sampler} claim")
        lease_id = leases["leases"][0]["lease_id"]
        for step in range(N_REPORTS):
            await asyncio.sleep(pause * random.uniform(0.5, 1.5))
            report = {"lease_id": lease_id, "step": step, "metrics": {"validation_accuracy": random.random()}}
            answer = await connection.post("/v1/reports", {"reports": [report]}, f"{sampler} report")
            if answer["decisions"][0]["decision"] != "continue":
                break
        else:
            await connection.post(f"/v1/leases/{lease_id}/complete", {"metrics": {}}, f"{sampler} complete")


async def load(server: str, seconds: float) -> Seconds:
    """Run all workers of both studies at the same time, and return the seconds of every call by its name."""
    connections = []
    until = time.perf_counter() + seconds
    calls = []
    for sampler, (_, n_workers, pause) in STUDIES.items():
        for worker in range(n_workers):
            connections.append(await Connection.open(server))
            calls.append(work(connections[-1], sampler, worker, pause, until))
    await asyncio.gather(*calls)
    taken: Seconds = {}
    for connection in connections:
        for name, values in connection.seconds.items():
            taken.setdefault(name, []).extend(values)
        connection.close()
    return taken


def measure(seconds: float) -> Seconds:
    """Return the seconds of every call by its name, to a fresh service with both studies."""
    with tempfile.TemporaryDirectory() as folder, database("postgresql") as url:
        with local.service(Path(folder), url) as server:
            for sampler in STUDIES:
                Client(server).create_study(definition(sampler))
        fill(url)
        with local.service(Path(folder), url) as server:
            asyncio.run(load(server, 5.0))  # the first suggestions are made while a claim waits for them
            return asyncio.run(load(server, seconds))


def ask_milliseconds(sampler: str) -> float:
    """Return the median of 5 durations of Optuna's own ask, in memory and on an idle machine."""
    samplers = {"gp": optuna.samplers.GPSampler, "tpe": optuna.samplers.TPESampler}
    study = optuna.create_study(sampler=samplers[sampler](seed=0))
    study.add_trials(finished_trials(STUDIES[sampler][0]))
    taken = []
    for _ in range(5):
        started = time.perf_counter()
        study.tell(study.ask(DISTRIBUTIONS), random.random())
        taken.append(1000 * (time.perf_counter() - started))
    return statistics.median(taken)


def main() -> None:
    """Run the command."""
    parser = machine.command_line(__doc__)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    runs = [measure(arguments.seconds) for _ in range(arguments.repeats)]
    lines = [
        "# Claims and reports while slow samplers work",
        "",
        machine.describe(),
        *(
            f"- {name}: {n:,} finished trials, {n_workers} workers, {pause:g} s between reports; "
            f"Optuna's own ask takes {ask_milliseconds(name):,.0f} ms"
            for name, (n, n_workers, pause) in STUDIES.items()
        ),
        f"- both at once, PostgreSQL, client on the same cores; median of {arguments.repeats} (least to largest), "
        f"{arguments.seconds:g} s each",
        "",
        "| call | calls | p50 ms | p99 ms |",
        "| --- | --- | --- | --- |",
    ]
    for name in sorted(runs[0]):
        quantiles = [machine.spread([_quantile(run[name], share) for run in runs]) for share in (0.5, 0.99)]
        lines.append(f"| {name} | {sum(len(run[name]) for run in runs)} | {quantiles[0]} | {quantiles[1]} |")
    machine.print_table("sampling", lines, record=arguments.record)


def _quantile(seconds: list[float], share: float) -> float:
    return 1000 * sorted(seconds)[int(share * len(seconds))]


if __name__ == "__main__":
    main()
