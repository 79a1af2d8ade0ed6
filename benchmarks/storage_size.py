"""Seconds and memory that loading a large database takes, against stock Optuna reading the same database.

    python -m benchmarks.storage_size [--trials 100000] [--live 10000] [--databases postgresql] [--repeats 3] [--record]

The database holds one study of finished trials with 3 parameters and 20 intermediate values each, in the tables and the
form of stock Optuna. Every figure is of a fresh process. This storage loads the database when it opens it; stock
Optuna's RDBStorage loads it for `get_all_trials`. A service also has a lease for each trial, which the rows "with
leases" load too. The trials "finished live" are asked, reported and told through this storage on an empty database.
Memory is what Linux reports for the process. Bytes per trial are the growth of the process divided by the trials.
"""

import multiprocessing
import random
import statistics
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import optuna
from optuna.distributions import distribution_to_json
from optuna.storages import RDBStorage
from sqlalchemy import create_engine

from benchmarks import machine
from benchmarks.storage import BOTH, PARAMETERS, STUDY, database
from storage import GroupCommitStorage, Store
from storage.database.opening import parse_url

N_STEPS = 20
TRIALS_PER_COMMIT = 50
MEGABYTE = 2**20


@dataclass(frozen=True)
class Size:
    """The cost of loading in one process. Megabytes are of 2^20 bytes, at the end and at the peak."""

    seconds: float
    rss_mb: float
    peak_mb: float
    bytes_per_trial: float


def build(url: str, n_trials: int) -> None:
    """Create the database with stock Optuna, and its trials with SQL that both kinds of database understand."""
    storage = open_stock(url)
    study_id = optuna.create_study(storage=storage, study_name=STUDY)._study_id
    with storage.engine.begin() as connection:
        for statement in statements(study_id, n_trials):
            connection.exec_driver_sql(statement)
    storage.remove_session()
    storage.engine.dispose()
    with create_engine(parse_url(url), isolation_level="AUTOCOMMIT").connect() as connection:
        connection.exec_driver_sql("ANALYZE")


def statements(study_id: int, n_trials: int) -> list[str]:
    """Return the SQL statements that insert `n_trials` finished trials."""
    counted = "WITH RECURSIVE counted(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM counted WHERE i + 1 < {})"
    params = [
        "INSERT INTO trial_params (trial_id, param_name, param_value, distribution_json) "
        f"SELECT trial_id, '{name}', {low} + {share} * ((trial_id * 7919) & 8191) / 8192.0, "
        f"'{distribution_to_json(PARAMETERS[name])}' FROM trials ORDER BY trial_id"
        for name, low, share in (("learning_rate", 1e-6, 0.009), ("dropout", 0, 0.5), ("units", 16, 0))
    ]
    return [
        "INSERT INTO trials (number, study_id, state, datetime_start, datetime_complete) "
        f"{counted.format(n_trials)} SELECT i, {study_id}, 'COMPLETE', "
        "'2026-01-02 03:04:05.678901', '2026-01-02 03:05:06.789012' FROM counted",
        *params,
        "INSERT INTO trial_values (trial_id, objective, value, value_type) "
        "SELECT trial_id, 0, ((trial_id * 6007) & 8191) / 8192.0, 'FINITE' FROM trials ORDER BY trial_id",
        "INSERT INTO trial_intermediate_values (trial_id, step, intermediate_value, intermediate_value_type) "
        f"{counted.format(N_STEPS)} SELECT trial_id, i, ((trial_id * 31 + i * 17) & 8191) / 8192.0, 'FINITE' "
        "FROM trials CROSS JOIN counted ORDER BY trial_id, i",
    ]


def add_leases(url: str) -> None:
    """Insert one ended lease for each trial, as a service leaves them."""
    Store.open(url).close()  # makes the tables
    engine = create_engine(parse_url(url))
    with engine.begin() as connection:
        connection.exec_driver_sql(
            "INSERT INTO narrows_leases (lease_id, study_id, trial_id, trial_number, attempt, claim_id, worker_id, "
            "granted_at, ended_at, outcome, state) SELECT '0123456789abcdef000' || (1000000000000 + trial_id), "
            "study_id, trial_id, number, 1, 'fedcba9876543210000' || (1000000000000 + trial_id), "
            "'host:cuda:' || (trial_id & 7), datetime_start, datetime_complete, 'complete', 'COMPLETE' FROM trials"
        )
    engine.dispose()


def open_stock(url: str) -> RDBStorage:
    """Open stock RDBStorage, without a cache."""
    return RDBStorage(parse_url(url).render_as_string(hide_password=False))


def load(url: str, n_trials: int) -> Size:
    """Measure opening this storage on a database of `n_trials` trials."""
    before, started = resident("VmRSS"), time.perf_counter()
    storage = GroupCommitStorage(url)
    size = growth(before, started, n_trials)
    (study,) = storage.get_all_studies()
    check(storage.get_all_trials(study._study_id, deepcopy=False), n_trials)
    storage.close()
    return size


def load_with_leases(url: str, n_trials: int) -> Size:
    """Measure opening the whole store, with the leases that a service keeps in memory."""
    before, started = resident("VmRSS"), time.perf_counter()
    store = Store.open(url)
    size = growth(before, started, n_trials)
    (study,) = store.optuna.get_all_studies()
    check(store.optuna.get_all_trials(study._study_id, deepcopy=False), n_trials)
    store.close()
    return size


def read_by_stock(url: str, n_trials: int) -> Size:
    """Measure reading all trials with stock Optuna."""
    before, started = resident("VmRSS"), time.perf_counter()
    storage = open_stock(url)
    trials = storage.get_all_trials(storage.get_study_id_from_name(STUDY), deepcopy=False)
    size = growth(before, started, n_trials)
    check(trials, n_trials)
    return size


def finish_live(url: str, n_trials: int) -> Size:
    """Measure finishing `n_trials` trials on an empty database through Optuna's calls."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    storage = GroupCommitStorage(url)
    study = optuna.create_study(storage=storage, study_name=STUDY, sampler=optuna.samplers.RandomSampler(seed=0))
    before, started = resident("VmRSS"), time.perf_counter()
    for _ in range(0, n_trials, TRIALS_PER_COMMIT):
        with storage.transaction():
            for _ in range(TRIALS_PER_COMMIT):
                finish_trial(study)
    size = growth(before, started, n_trials)
    check(study.get_trials(deepcopy=False), n_trials)
    storage.close()
    return size


def finish_trial(study: optuna.Study) -> None:
    """Ask, report and tell one trial."""
    trial = study.ask(PARAMETERS)
    for step in range(N_STEPS):
        trial.report(random.random(), step)
    study.tell(trial, random.random())


def growth(before: float, started: float, n_trials: int) -> Size:
    """Return the size of this process, given its megabytes and the time before."""
    seconds = time.perf_counter() - started
    after = resident("VmRSS")
    return Size(seconds, after, resident("VmHWM"), (after - before) * MEGABYTE / n_trials)


def resident(name: str) -> float:
    """Return the memory of this process in megabytes: now for VmRSS, at the peak for VmHWM."""
    lines = Path("/proc/self/status").read_text().splitlines()
    (line,) = (line for line in lines if line.startswith(f"{name}:"))
    return int(line.split()[1]) / 1024


def check(trials: list[optuna.trial.FrozenTrial], n_trials: int) -> None:
    """Raise RuntimeError unless all trials were loaded with parameters and intermediate values."""
    last = trials[-1]
    if (len(trials), len(last.params), len(last.intermediate_values)) != (n_trials, len(PARAMETERS), N_STEPS):
        raise RuntimeError(f"{n_trials} trials were expected, found {len(trials)}, the last one {last}")


LIVE = "Narrows, finished live"
LOADED = {"RDBStorage": read_by_stock, "Narrows": load, "Narrows, with leases": load_with_leases}
MEASUREMENTS = LOADED | {LIVE: finish_live}


def measure(name: str, url: str, n_trials: int) -> Size:
    """Run one measurement in its own process."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
        return process.submit(MEASUREMENTS[name], url, n_trials).result()


def block(kind: str, n_trials: int, n_live: int, repeats: int) -> list[str]:
    """Return the table rows of one kind of database."""
    sizes: dict[str, list[Size]] = {name: [] for name in MEASUREMENTS}
    with database(kind) as url:
        build(url, n_trials)
        add_leases(url)
        for _ in range(repeats):
            for name in LOADED:
                sizes[name].append(measure(name, url, n_trials))
    for _ in range(repeats):
        with database(kind) as url:
            sizes[LIVE].append(measure(LIVE, url, n_live))
    base = statistics.median(size.seconds for size in sizes["RDBStorage"])
    return [row(kind, name, n_live if name == LIVE else n_trials, sizes[name], base) for name in sizes]


def row(kind: str, name: str, n_trials: int, sizes: list[Size], base: float) -> str:
    """Return one table row. `base` is the median seconds of RDBStorage."""
    seconds = [size.seconds for size in sizes]
    ratio = "" if name == LIVE else f"{base / statistics.median(seconds):.1f}"
    columns = (
        machine.spread(seconds),
        ratio,
        machine.spread([size.rss_mb for size in sizes], 0),
        machine.spread([size.peak_mb for size in sizes], 0),
        machine.spread([size.bytes_per_trial for size in sizes], 0),
    )
    return f"| {kind} | {name} | {n_trials:,} | {' | '.join(columns)} |"


def main() -> None:
    """Run the command."""
    parser = machine.command_line(__doc__)
    parser.add_argument("--trials", type=int, default=100_000)
    parser.add_argument("--live", type=int, default=10_000)
    parser.add_argument("--databases", nargs="+", default=list(BOTH), choices=BOTH)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    head = [
        "# Storage: a large database, loaded",
        "",
        machine.describe(),
        f"- finished trials of {len(PARAMETERS)} parameters and {N_STEPS} intermediate values, one study",
        f"- median of {arguments.repeats} (least to largest), a fresh process each; ratio to RDBStorage's seconds",
        "- MB of 2^20 bytes, of the whole process; a trial's bytes are what the process grew by",
        "",
        "| database | storage | trials | seconds | ratio | MB | MB at most | bytes a trial |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    sizes = arguments.trials, arguments.live, arguments.repeats
    rows = (line for kind in arguments.databases for line in block(kind, *sizes))
    machine.print_table("storage-size", head, rows, record=arguments.record)


if __name__ == "__main__":
    main()
