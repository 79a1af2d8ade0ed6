"""Trials per second of this storage, against each of Optuna's storages.

    python -m benchmarks.storage [--finished 0 1000 10000] [--callers 1 16] [--seconds 5] [--repeats 3] [--record]

One trial is: ask (random sampler, 3 parameters), 5 reports, each with a pruning check (median pruner), and tell.
Callers are threads of one process that share one storage, as in a service. RDBStorage is also measured with one process
for each caller, which is how Optuna shares a study. Narrows is measured as a drop-in storage, where each write of an
ask waits for its own commit, and with each ask in one transaction, as the service asks. InMemoryStorage writes nothing
and shows how much of the time Optuna's own code takes. All rows of a table are measured in one run, in turn.
"""

import multiprocessing
import random
import secrets
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from itertools import product

import optuna
from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution
from optuna.storages import (
    BaseStorage,
    GrpcStorageProxy,
    InMemoryStorage,
    JournalStorage,
    RDBStorage,
    run_grpc_proxy_server,
)
from optuna.storages.journal import JournalFileBackend
from sqlalchemy import create_engine

from benchmarks import machine
from storage import GroupCommitStorage
from storage.database.opening import parse_url

POSTGRES = "postgresql://postgres@127.0.0.1:5432"
N_REPORTS = 5
STUDY = "benchmark"
PARAMETERS: dict[str, BaseDistribution] = {
    "learning_rate": FloatDistribution(1e-6, 1e-2, log=True),
    "dropout": FloatDistribution(0.0, 0.5),
    "units": IntDistribution(16, 512),
}


@dataclass(frozen=True)
class Peer:
    """One row of the table: how a storage is opened on the address of a database."""

    name: str
    databases: tuple[str, ...]
    open: Callable[[str], BaseStorage]
    processes: bool = False
    one_transaction: bool = False


@contextmanager
def database(kind: str) -> Iterator[str]:
    """Create an empty database, yield its address, and drop it."""
    if kind == "sqlite":
        with tempfile.TemporaryDirectory() as folder:
            yield f"sqlite:///{folder}/benchmark.db"
        return
    name = f"narrows_benchmark_{secrets.token_hex(6)}"
    administrator = create_engine(parse_url(f"{POSTGRES}/postgres"), isolation_level="AUTOCOMMIT")
    with administrator.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    try:
        yield f"{POSTGRES}/{name}"
    finally:
        with administrator.connect() as connection:
            connection.exec_driver_sql(f"DROP DATABASE {name} WITH (FORCE)")
        administrator.dispose()


def open_rdb(url: str) -> BaseStorage:
    """Open Optuna's RDBStorage as a study would, with its cache."""
    parsed = parse_url(url)
    options = {"connect_args": {"timeout": 60}} if parsed.drivername == "sqlite" else {"pool_size": 20}
    return optuna.storages.get_storage(RDBStorage(parsed.render_as_string(hide_password=False), engine_kwargs=options))


def open_journal(url: str) -> BaseStorage:
    """Open Optuna's JournalStorage in a file beside the database."""
    return JournalStorage(JournalFileBackend(f"{url.removeprefix('sqlite:///')}.journal"))


def open_grpc(url: str) -> BaseStorage:
    """Start a server process in front of RDBStorage and return a proxy to it."""
    port = random.randint(20_000, 50_000)
    process = multiprocessing.get_context("spawn").Process(target=_serve_grpc, args=(url, port), daemon=True)
    process.start()
    proxy = GrpcStorageProxy(host="127.0.0.1", port=port)
    proxy.wait_server_ready(timeout=60)
    proxy._narrows_process = process  # type: ignore[attr-defined]  # ended by `close`
    return proxy


def _serve_grpc(url: str, port: int) -> None:
    run_grpc_proxy_server(open_rdb(url), host="127.0.0.1", port=port)


BOTH = ("postgresql", "sqlite")
PEERS = (
    Peer("RDBStorage", BOTH, open_rdb),
    Peer("RDBStorage, a process each", BOTH, open_rdb, processes=True),
    Peer("JournalStorage (file)", ("sqlite",), open_journal),
    Peer("GrpcStorageProxy", BOTH, open_grpc),
    Peer("InMemoryStorage", ("sqlite",), lambda _url: InMemoryStorage()),
    Peer("Narrows", BOTH, GroupCommitStorage),
    Peer("Narrows (an ask in one transaction)", BOTH, GroupCommitStorage, one_transaction=True),
)


def close(storage: BaseStorage) -> None:
    """Close a storage and end its server process, if it has one."""
    if isinstance(storage, GroupCommitStorage):
        storage.close()
    process = getattr(storage, "_narrows_process", None)
    if process is not None:
        process.terminate()
        process.join()
    storage.remove_session()


def fill(url: str, n_finished: int) -> None:
    """Add `n_finished` finished trials to a database in one transaction."""
    storage = GroupCommitStorage(url)
    study = optuna.create_study(storage=storage, study_name=STUDY)
    numbers = random.Random(0)
    with storage.transaction():
        for _ in range(n_finished):
            params = {"learning_rate": 10 ** numbers.uniform(-6, -2), "dropout": numbers.uniform(0, 0.5), "units": 64}
            reports = {step: numbers.random() for step in range(N_REPORTS)}
            study.add_trial(
                optuna.create_trial(
                    params=params, distributions=PARAMETERS, value=numbers.random(), intermediate_values=reports
                )
            )
    storage.close()


def copy_finished(source: str, target: BaseStorage) -> None:
    """Copy the finished trials of a database to another storage."""
    trials = optuna.load_study(study_name=STUDY, storage=open_rdb(source)).trials
    study = optuna.create_study(storage=target, study_name=STUDY)
    for trial in trials:
        study.add_trial(trial)


def run_trials(storage: BaseStorage, until: float, together: Callable[[], AbstractContextManager[object]]) -> int:
    """Ask, report, prune and tell until a time, and return the number of finished trials."""
    study = optuna.load_study(
        study_name=STUDY,
        storage=storage,
        sampler=optuna.samplers.RandomSampler(),
        pruner=optuna.pruners.MedianPruner(),
    )
    finished = 0
    while time.perf_counter() < until:
        with together():
            trial = study.ask(PARAMETERS)
        for step in range(N_REPORTS):
            trial.report(random.random(), step)
            trial.should_prune()
        study.tell(trial, random.random())
        finished += 1
    return finished


def in_threads(storage: BaseStorage, callers: int, seconds: float, *, one_transaction: bool = False) -> float:
    """Return trials per second of `callers` threads that share a storage."""
    together: Callable[[], AbstractContextManager[object]] = nullcontext
    if one_transaction and isinstance(storage, GroupCommitStorage):
        together = storage.transaction
    counts: list[int] = []
    started = time.perf_counter()
    threads = [
        threading.Thread(target=lambda: counts.append(run_trials(storage, started + seconds, together)))
        for _ in range(callers)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts) / (time.perf_counter() - started)


def in_processes(url: str, callers: int, seconds: float) -> float:
    """Return trials per second of `callers` processes, each with its own storage. Their start is not counted."""
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(callers)
    counts = context.Queue()
    processes = [context.Process(target=_process, args=(url, seconds, barrier, counts)) for _ in range(callers)]
    for process in processes:
        process.start()
    rates = [counts.get() for _ in processes]
    for process in processes:
        process.join()
    return float(sum(rates))


def _process(url: str, seconds: float, barrier: "threading.Barrier", counts: "multiprocessing.Queue[float]") -> None:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    storage = open_rdb(url)
    barrier.wait()
    started = time.perf_counter()
    finished = run_trials(storage, started + seconds, nullcontext)
    counts.put(finished / (time.perf_counter() - started))


def measure(peer: Peer, kind: str, n_finished: int, callers: int, seconds: float) -> float:
    """Return trials per second of a storage on a fresh database."""
    with database(kind) as url:
        fill(url, n_finished)
        if peer.processes:
            return in_processes(url, callers, seconds)
        storage = peer.open(url)
        try:
            if isinstance(storage, InMemoryStorage | JournalStorage):
                copy_finished(url, storage)
            return in_threads(storage, callers, seconds, one_transaction=peer.one_transaction)
        finally:
            close(storage)


def main() -> None:
    """Run the command."""
    parser = machine.command_line(__doc__)
    parser.add_argument("--finished", type=int, nargs="+", default=[0, 1_000, 10_000])
    parser.add_argument("--callers", type=int, nargs="+", default=[1, 16])
    parser.add_argument("--databases", nargs="+", default=list(BOTH), choices=BOTH)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    head = [
        "# Storage: trials per second",
        "",
        machine.describe(),
        f"- a trial: ask (3 parameters), {N_REPORTS} reports with a pruning check, tell; {arguments.seconds:g} s each",
        f"- median of {arguments.repeats} (least to largest); ratio to the better RDBStorage row of the same block",
        "",
        "| database | finished trials | callers | storage | trials/s | ratio |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    cases = product(arguments.databases, arguments.finished, arguments.callers)
    rows = (line for case in cases for line in block(*case, arguments.seconds, arguments.repeats))
    machine.print_table("storage", head, rows, record=arguments.record)


def block(kind: str, n_finished: int, callers: int, seconds: float, repeats: int) -> Iterator[str]:
    """Yield the table rows of one setting. The storages are measured in turn."""
    peers = [peer for peer in PEERS if kind in peer.databases]
    rates: dict[str, list[float]] = {peer.name: [] for peer in peers}
    for _ in range(repeats):
        for peer in peers:
            rates[peer.name].append(measure(peer, kind, n_finished, callers, seconds))
    medians = {name: statistics.median(values) for name, values in rates.items()}
    base = max(value for name, value in medians.items() if name.startswith("RDBStorage"))
    for name, values in rates.items():
        ratio = medians[name] / base
        yield f"| {kind} | {n_finished:,} | {callers} | {name} | {machine.spread(values)} | {ratio:.1f} |"


if __name__ == "__main__":
    main()
