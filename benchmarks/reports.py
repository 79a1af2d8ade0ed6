"""Durable reports per second through HTTP, to one service process from many connections.

    python -m benchmarks.reports [--connections 32] [--seconds 5] [--repeats 3] [--database postgresql] [--record]

Every connection reports the epochs of its own trial, one report in each call, and waits for the answer. The client is a
process on the same cores as the service.
"""

import asyncio
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks import local, machine
from benchmarks.connection import Connection
from benchmarks.storage import database
from service.client import Client
from service.schemas.protocol import Claim
from service.schemas.worker_info import WorkerInfo

DEFINITION: dict[str, Any] = {
    "name": "reports",
    "search_space": {"learning_rate": {"type": "float", "low": 1e-6, "high": 1e-2, "log": True}},
    "training": {"dataset": "digits", "model": "mlp"},
    "sampler": "random",
    "n_trials": 1024,
}


async def report(connection: Connection, lease_id: str, until: float) -> list[float]:
    """Report one epoch after another for a lease and return the seconds of each call."""
    step = 0
    while time.perf_counter() < until:
        metrics = {"train_loss": 1 / (step + 1), "validation_accuracy": 0.5 + step % 10 * 0.01}
        await connection.post(
            "/v1/reports", {"reports": [{"lease_id": lease_id, "step": step, "metrics": metrics}]}, ""
        )
        step += 1
    connection.close()
    return connection.seconds[""]


async def load(server: str, leases: list[str], seconds: float) -> list[float]:
    """Report for all leases at the same time, each with its own connection, and return the seconds of every call."""
    connections = [await Connection.open(server) for _ in leases]
    until = time.perf_counter() + seconds
    calls = [report(connection, lease, until) for connection, lease in zip(connections, leases, strict=True)]
    return [taken for times in await asyncio.gather(*calls) for taken in times]


def measure(kind: str, connections: int, seconds: float) -> list[float]:
    """Return the sorted seconds of every call to a fresh service."""
    with tempfile.TemporaryDirectory() as folder, database(kind) as url, local.service(Path(folder), url) as server:
        client = Client(server)
        client.create_study(DEFINITION)
        claim = Claim(claim_id="benchmark", worker=WorkerInfo(id="benchmark"), max_trials=connections)
        leases = [lease.lease_id for lease in client.claim(claim).leases]
        return sorted(asyncio.run(load(server, leases, seconds)))


def main() -> None:
    """Run the command."""
    parser = machine.command_line(__doc__)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--database", default="postgresql", choices=["postgresql", "sqlite"])
    arguments = parser.parse_args()
    runs = [measure(arguments.database, arguments.connections, arguments.seconds) for _ in range(arguments.repeats)]
    rates = [len(run) / arguments.seconds for run in runs]
    milliseconds = [[1000 * run[int(len(run) * share)] for run in runs] for share in (0.5, 0.99)]
    lines = [
        "# Durable reports through HTTP",
        "",
        machine.describe(),
        f"- {arguments.connections} connections, {arguments.database}, one process, client on the same cores",
        f"- median of {arguments.repeats} (least to largest), {arguments.seconds:g} s each",
        "",
        "| reports/s | p50 ms | p99 ms |",
        "| --- | --- | --- |",
        f"| {machine.spread(rates, 0)} | {machine.spread(milliseconds[0])} | {machine.spread(milliseconds[1])} |",
        "",
        f"Median of all calls: {statistics.median(taken for run in runs for taken in run) * 1000:.1f} ms.",
    ]
    machine.print_table("reports", lines, record=arguments.record)


if __name__ == "__main__":
    main()
