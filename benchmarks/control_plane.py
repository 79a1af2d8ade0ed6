"""Whole trials per second through HTTP, against Optuna's two ways of sharing a study between machines.

    python -m benchmarks.control_plane [--finished 0 10000] [--workers 32] [--seconds 5] [--repeats 3] [--record]

One trial is: a claim (3 parameters, random sampler), 5 reports, each with the median pruner's decision, and a complete.
Narrows is one real service on PostgreSQL. Its 32 workers are connections of a client process on the same cores, and
every answer waits for its commit. The others run the same trials by Optuna's ask, report, should_prune and tell:
RDBStorage is shared by 8 processes, and GrpcStorageProxy has 8 client processes and one server.
"""

import asyncio
import multiprocessing
import random
import statistics
import tempfile
import threading
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import BaseStorage, GrpcStorageProxy

from benchmarks import local, machine
from benchmarks.connection import Connection
from benchmarks.storage import N_REPORTS, database, fill, open_grpc, open_rdb, run_trials
from service.client import Client

N_PROCESSES = 8
DEFINITION: dict[str, Any] = {
    "name": "benchmark",
    "search_space": {
        "learning_rate": {"type": "float", "low": 1e-6, "high": 1e-2, "log": True},
        "dropout": {"type": "float", "low": 0.0, "high": 0.5},
        "batch_size": {"type": "int", "low": 16, "high": 512},
    },
    "training": {"dataset": "digits", "model": "mlp"},
    "sampler": "random",
    "pruner": "median",
    "n_trials": 1_000_000,
}
Seconds = dict[str, list[float]]


async def work(connection: Connection, worker: int, until: float) -> int:
    """Run trials one after another as one worker and return how many it finished, pruned trials included."""
    finished = 0
    while time.perf_counter() < until:
        claim = {"claim_id": f"{worker}-{finished}-{random.getrandbits(64):x}", "worker": {"id": f"worker-{worker}"}}
        (lease,) = (await connection.post("/v1/claims", {**claim, "max_trials": 1}, "claim"))["leases"]
        lease_id = lease["lease_id"]
        for step in range(N_REPORTS):
            metrics = {"train_loss": random.random(), "validation_accuracy": random.random()}
            report = {"lease_id": lease_id, "step": step, "metrics": metrics}
            answer = await connection.post("/v1/reports", {"reports": [report]}, "report")
            if answer["decisions"][0]["decision"] != "continue":
                break
        else:
            await connection.post(f"/v1/leases/{lease_id}/complete", {"metrics": {}}, "complete")
        finished += 1
    return finished


async def load(server: str, n_workers: int, seconds: float) -> tuple[float, Seconds]:
    """Run trials with `n_workers` connections; return trials per second and the seconds of every call by its name."""
    connections = [await Connection.open(server) for _ in range(n_workers)]
    started = time.perf_counter()
    counts = await asyncio.gather(
        *(work(connection, worker, started + seconds) for worker, connection in enumerate(connections))
    )
    rate = sum(counts) / (time.perf_counter() - started)
    taken: Seconds = {}
    for connection in connections:
        for name, values in connection.seconds.items():
            taken.setdefault(name, []).extend(values)
        connection.close()
    return rate, taken


async def finish(server: str, n_trials: int) -> None:
    """Finish `n_trials` trials of a study through HTTP."""
    connection = await Connection.open(server)
    left = n_trials
    while left > 0:
        claim = {"claim_id": f"fill-{left}", "worker": {"id": "fill"}, "max_trials": min(64, left)}
        for lease in (await connection.post("/v1/claims", claim, "claim"))["leases"]:
            reports = [
                {"lease_id": lease["lease_id"], "step": step, "metrics": {"validation_accuracy": random.random()}}
                for step in range(N_REPORTS)
            ]
            decisions = (await connection.post("/v1/reports", {"reports": reports}, "report"))["decisions"]
            if all(decision["decision"] == "continue" for decision in decisions):
                await connection.post(f"/v1/leases/{lease['lease_id']}/complete", {"metrics": {}}, "complete")
            left -= 1
    connection.close()


def measure_narrows(n_finished: int, n_workers: int, seconds: float) -> tuple[float, Seconds]:
    """Return trials per second of a service with `n_finished` finished trials, and the seconds of its calls."""
    with tempfile.TemporaryDirectory() as folder, database("postgresql") as url, local.service(Path(folder), url) as at:
        Client(at).create_study(DEFINITION)
        asyncio.run(finish(at, n_finished))
        return asyncio.run(load(at, n_workers, seconds))


def measure_peer(name: str, n_finished: int, seconds: float) -> float:
    """Return trials per second of N_PROCESSES processes that share one of Optuna's storages, without their start."""
    with database("postgresql") as url:
        fill(url, n_finished)
        proxy = open_grpc(url) if name == "GrpcStorageProxy" else None
        address = url if proxy is None else f"{proxy._host}:{proxy._port}"  # type: ignore[attr-defined]
        try:
            return _in_processes(address, seconds)
        finally:
            if proxy is not None:
                proxy._narrows_process.terminate()  # type: ignore[attr-defined]
                proxy._narrows_process.join()  # type: ignore[attr-defined]


def _in_processes(address: str, seconds: float) -> float:
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(N_PROCESSES)
    rates = context.Queue()
    processes = [context.Process(target=_process, args=(address, seconds, barrier, rates)) for _ in range(N_PROCESSES)]
    for process in processes:
        process.start()
    total = float(sum(rates.get() for _ in processes))
    for process in processes:
        process.join()
    return total


def _process(address: str, seconds: float, barrier: threading.Barrier, rates: "multiprocessing.Queue[float]") -> None:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    storage = _open_peer(address)
    barrier.wait()
    started = time.perf_counter()
    finished = run_trials(storage, started + seconds, nullcontext)
    rates.put(finished / (time.perf_counter() - started))


def _open_peer(address: str) -> BaseStorage:
    if "://" in address:
        return open_rdb(address)
    host, _, port = address.rpartition(":")
    return GrpcStorageProxy(host=host, port=int(port))


PEERS = ("RDBStorage, 8 processes", "GrpcStorageProxy")


def table(n_finished: int, n_workers: int, seconds: float, repeats: int) -> list[str]:
    """Yield the rows for one number of finished trials. The candidates are measured in turn."""
    rates: dict[str, list[float]] = {"Narrows": [], **{name: [] for name in PEERS}}
    taken: Seconds = {}
    for _ in range(repeats):
        rate, calls = measure_narrows(n_finished, n_workers, seconds)
        rates["Narrows"].append(rate)
        for call, values in calls.items():
            taken.setdefault(call, []).extend(values)
        for name in PEERS:
            rates[name].append(measure_peer(name, n_finished, seconds))
    ours = statistics.median(rates["Narrows"])
    lines = []
    for name, values in rates.items():
        ratio = ours / max(statistics.median(values), 1e-9)
        lines.append(f"| {n_finished:,} | {name} | {machine.spread(values)} | {ratio:,.1f} |")
    calls_text = "; ".join(f"{name} {_milliseconds(values)}" for name, values in taken.items())
    return [*lines, f"| {n_finished:,} | calls, p50 / p99 ms | {calls_text} | |"]


def _milliseconds(seconds: list[float]) -> str:
    ordered = sorted(seconds)
    return f"{1000 * ordered[len(ordered) // 2]:.1f} / {1000 * ordered[int(0.99 * len(ordered))]:.1f}"


def main() -> None:
    """Run the command."""
    parser = machine.command_line(__doc__)
    parser.add_argument("--finished", type=int, nargs="+", default=[0, 10_000])
    parser.add_argument("--workers", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    head = [
        "# Control plane: whole trials per second",
        "",
        machine.describe(),
        f"- claim (3 parameters), {N_REPORTS} reports with a pruning decision, complete; PostgreSQL",
        f"- {arguments.workers} workers of Narrows, {N_PROCESSES} processes of each peer; {arguments.seconds:g} s each",
        f"- median of {arguments.repeats} (least to largest); the ratio is how many times as many Narrows finishes",
        "",
        "| finished trials | | trials/s | Narrows is times as fast |",
        "| --- | --- | --- | --- |",
    ]
    limits = arguments.workers, arguments.seconds, arguments.repeats
    rows = (line for n_finished in arguments.finished for line in table(n_finished, *limits))
    machine.print_table("control-plane", head, rows, record=arguments.record)


if __name__ == "__main__":
    main()
