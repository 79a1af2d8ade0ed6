"""How long a report waits while another client sends the most expensive calls that the limits allow.

    python -m benchmarks.hostile [--repeats 3] [--database postgresql] [--record]

One connection reports an epoch of a small study every few milliseconds. Meanwhile a second client, in a thread of the
same process, makes one expensive call to another study. The table has the longest report during each of these calls.
"""

import asyncio
import http.client
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from benchmarks import local, machine
from benchmarks.connection import Connection
from benchmarks.reports import DEFINITION
from benchmarks.storage import database
from service.client import Client
from service.schemas.protocol import Claim
from service.schemas.worker_info import WorkerInfo

PAUSE_SECONDS = 0.005
CALL_SECONDS = 600.0
WARM_UP_SECONDS = 1.0
CODE: dict[str, Any] = {
    "training": {"entrypoint": "mine.train:f"},
    "objectives": [{"metric": "loss", "direction": "minimize"}],
}
NUMBERS = {"type": "categorical", "choices": list(range(1, 257))}
TEXTS = {"type": "categorical", "choices": [f"c{index}" for index in range(256)]}
FEW = {f"p{index}": TEXTS for index in range(30)}
LAYERS = {f"model.hidden.{index}": {"type": "int", "low": 16, "high": 64} for index in range(30)}

Send = Callable[[str, str, Any], bytes]


def definition(name: str, **changes: Any) -> dict[str, Any]:
    """The definition of an expensive study."""
    return {**DEFINITION, "name": name, "n_trials": 5000, **changes}


def conditional_space() -> dict[str, Any]:
    """9,999 values and 97 parameters that another one depends on."""
    names = [f"p{index}" for index in range(97)]
    space: dict[str, Any] = {"q": {"type": "int", "low": 0, "high": 9998}}
    space |= {name: {"type": "categorical", "choices": ["a"]} for name in names}
    space["r"] = {"type": "categorical", "choices": ["b"], "when": {**{name: ["a"] for name in names}, "q": [1]}}
    return space


def trials(params: Any) -> dict[str, Any]:
    """The body of an import of 3.5 MB."""
    trial = {"state": "COMPLETE", "values": [0.5], "params": {f"p{index}": params for index in range(30)}}
    return {"source": "elsewhere", "trials": [trial] * min(10_000, 3_500_000 // len(json.dumps(trial)))}


def claim(n: int) -> dict[str, Any]:
    """A claim of the study with many layers."""
    return {"claim_id": f"c{time.monotonic_ns()}", "worker": {"id": "hostile"}, "study": "layers", "max_trials": n}


def reports(leases: list[str]) -> dict[str, Any]:
    """A report of the next step of many leases."""
    step = time.monotonic_ns() // 1_000_000 % 2**31
    metrics = {"validation_accuracy": 0.5}
    return {"reports": [{"lease_id": lease, "step": step, "metrics": metrics} for lease in leases]}


def calls(send: Send, repeat: int) -> Iterator[tuple[str, str, Any]]:
    """Every expensive call: what it is, its path and its body."""
    hidden = {f"model.hidden.{index}": NUMBERS for index in range(64)}
    yield "64 × 256 choices", "/v1/studies", definition(f"choices-{repeat}", search_space=hidden)
    deep = {**CODE, "search_space": conditional_space(), "sampler": "brute_force"}
    yield "deep conditions", "/v1/studies", definition(f"deep-{repeat}", **deep)
    enqueued = {"search_space": FEW, "enqueue": [{f"p{index}": "c255" for index in range(30)}] * 1000}
    yield "1,000 enqueued", "/v1/studies", definition(f"enqueued-{repeat}", **CODE, **enqueued)
    yield "60,000 unknown fields", "/v1/studies", {str(index): 0 for index in range(60_000)}
    send("POST", "/v1/studies", definition(f"import-{repeat}", **CODE, search_space=FEW, sampler="tpe"))
    yield "import of 3.5 MB", f"/v1/studies/import-{repeat}/imports", trials("c1")
    yield "wrong import of 3.5 MB", f"/v1/studies/import-{repeat}/imports", trials([])
    for _ in range(3):
        send("POST", "/v1/claims", claim(1))
    yield "claim of 64, 30 parameters", "/v1/claims", claim(64)
    yield "claim of 512, 30 parameters", "/v1/claims", claim(512)
    answer = json.loads(send("POST", "/v1/claims", claim(512)))
    yield "report of 512 trials", "/v1/reports", reports([lease["lease_id"] for lease in answer["leases"]])


@contextmanager
def sender(server: str) -> Iterator[Send]:
    """A second client, which reads every answer, whatever its status."""
    address = urlsplit(server)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=CALL_SECONDS)

    def send(method: str, path: str, body: Any) -> bytes:
        content = body if isinstance(body, bytes) else json.dumps(body)
        connection.request(method, path, content, {"Content-Type": "application/json"})
        return connection.getresponse().read()

    yield send
    connection.close()


async def longest_report(server: str, lease: str, step: int, call: Callable[[], object]) -> tuple[float, float, int]:
    """Report until a call has been answered. Returns the longest report, the call's seconds and the next step."""
    connection = await Connection.open(server)
    started = time.perf_counter()
    waiting = asyncio.create_task(asyncio.to_thread(call))
    while not waiting.done():
        metrics = {"validation_accuracy": 0.5}
        await connection.post("/v1/reports", {"reports": [{"lease_id": lease, "step": step, "metrics": metrics}]}, "")
        step += 1
        await asyncio.sleep(PAUSE_SECONDS)
    await waiting
    connection.close()
    return max(connection.seconds[""]), time.perf_counter() - started, step


def measure(kind: str, repeats: int) -> dict[str, list[tuple[float, float]]]:
    """The longest report and the seconds of each expensive call, to one fresh service."""
    found: dict[str, list[tuple[float, float]]] = {}
    with (
        tempfile.TemporaryDirectory() as folder,
        database(kind) as url,
        local.service(Path(folder), url) as server,
        sender(server) as send,
    ):
        client = Client(server)
        client.create_study(DEFINITION)
        (lease,) = client.claim(Claim(claim_id="benchmark", worker=WorkerInfo(id="benchmark"))).leases
        send("POST", "/v1/studies", definition("layers", search_space=LAYERS))
        _, _, step = asyncio.run(longest_report(server, lease.lease_id, 0, lambda: time.sleep(WARM_UP_SECONDS)))
        for repeat in range(repeats):
            longest, seconds, step = asyncio.run(
                longest_report(server, lease.lease_id, step, lambda: time.sleep(WARM_UP_SECONDS))
            )
            found.setdefault("none, to compare with", []).append((longest, seconds))
            for name, path, body in calls(send, repeat):
                content = json.dumps(body).encode()  # before the call: it would hold up the reports of this process
                call = lambda path=path, content=content: send("POST", path, content)  # noqa: E731 # of this turn
                longest, seconds, step = asyncio.run(longest_report(server, lease.lease_id, step, call))
                found.setdefault(name, []).append((longest, seconds))
    return found


def main() -> None:
    """Run the command."""
    parser = machine.command_line(__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--database", default="postgresql", choices=["postgresql", "sqlite"])
    arguments = parser.parse_args()
    found = measure(arguments.database, arguments.repeats)
    lines = [
        "# Reports beside expensive calls of another client",
        "",
        machine.describe(),
        f"- {arguments.database}, one process, both clients on the same cores",
        f"- median of {arguments.repeats} (least to largest); load before the run: {os.getloadavg()[0]:.1f}",
        "",
        "| expensive call | its seconds | longest report of another study, ms |",
        "| --- | --- | --- |",
    ]
    for name, times in found.items():
        reported = machine.spread([1000 * longest for longest, _ in times], 0)
        lines.append(f"| {name} | {machine.spread([seconds for _, seconds in times], 2)} | {reported} |")
    worst = max(longest for times in found.values() for longest, _ in times)
    lines += ["", f"Longest report of all: {1000 * worst:.0f} ms. Median of the longest ones: {_median(found):.0f} ms."]
    machine.print_table("hostile", lines, record=arguments.record)


def _median(found: dict[str, list[tuple[float, float]]]) -> float:
    return 1000 * statistics.median(longest for times in found.values() for longest, _ in times)


if __name__ == "__main__":
    main()
