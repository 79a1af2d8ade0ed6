"""Trials per hour, against every other way of training the same trials, in one run on one machine.

    python -m benchmarks.training [--case digits mnist-mlp …] [--peers example loop …] [--pruning none median]
        [--trials N] [--epochs N] [--repeats 3] [--device cpu] [--beside CHECKOUT] [--dry-run] [--record]

All peers train the same configurations (Adam, batches of 128 unless the batch size is searched) for the same number of
epochs on the same 80 % of the training images, and validate on the other 20 % after every epoch. With pruning all use
Optuna's median pruner; which trials it prunes depends on their order. Peers take turns, and each has the machine to
itself. Starting is not counted: processes have read the data and taken a step before the clock starts.

The case digits-search has a table of its own, with the start of all processes: see benchmarks.whole_search.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import get_args

import torch

from benchmarks import local, machine, whole_search
from benchmarks.peers import hand_written, narrows, optuna_example, ray_tune
from benchmarks.peers.cases import CASES, Setup
from benchmarks.peers.outcomes import Measured, Outcome, Pruning
from benchmarks.peers.processes import measure as in_processes
from workers.fleet.devices import n_cores
from workers.training.precision import has_bf16_hardware

SECONDS_PER_HOUR = 3600
N_CORES = n_cores()
PEAK_SIZE = 2048


@dataclass(frozen=True)
class Peer:
    """One way of training, with its name in the table."""

    label: str
    measure: Callable[[Setup], Measured]


def _example(setup: Setup) -> Measured:
    return in_processes(setup, optuna_example.prepare, n_processes=1, n_threads=N_CORES)


def _loop(setup: Setup) -> Measured:
    return in_processes(setup, hand_written.prepare, n_processes=1, n_threads=N_CORES, flush_denormals=True)


def _loop_per_core(setup: Setup) -> Measured:
    return in_processes(setup, hand_written.prepare, n_processes=N_CORES, n_threads=1, flush_denormals=True)


def _narrows(lanes: str) -> Callable[[Setup], Measured]:
    def measure(setup: Setup) -> Measured:
        return narrows.measure(setup, lanes, n_processes(setup.device))

    return measure


PEERS = {
    "example": Peer("Optuna's PyTorch example loop, all threads", _example),
    "loop": Peer("hand-written loop, all threads", _loop),
    "loop-per-core": Peer("hand-written loop, a process per core", _loop_per_core),
    "ray": Peer("Ray Tune with the hand-written loop", lambda setup: ray_tune.measure(setup, N_CORES)),
    "narrows-1": Peer("Narrows, one lane", _narrows("1")),
    "narrows-auto": Peer("Narrows, lanes auto", _narrows("auto")),
}
HAND_WRITTEN = ("loop", "loop-per-core")
WHOLE_SEARCH = "digits-search"

HEADER = (
    "| case | pruning | | seconds | trials per hour | × the example | × the better hand-written loop "
    "| seconds to the accuracy | validation accuracy: best, mean | pruned, epochs | waiting, lanes empty |\n"
    "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |"
)


def measure(setup: Setup, peers: list[str], repeats: int) -> dict[str, list[Measured]]:
    """Measure every peer `repeats` times, in turn."""
    found: dict[str, list[Measured]] = {peer: [] for peer in peers}
    for repeat in range(repeats):
        for peer in peers:
            began = time.perf_counter()
            measured = PEERS[peer].measure(setup)
            found[peer].append(measured)
            whole = time.perf_counter() - began
            print_progress(
                f"{setup.case.name}, {setup.pruning}, {repeat}, {peer}: {measured.seconds:.1f} s ({whole:.1f} in all)"
            )
    return found


def rows(setup: Setup, found: dict[str, list[Measured]]) -> Iterator[str]:
    """Yield the table row of each peer."""
    medians = {peer: statistics.median(one.seconds for one in measured) for peer, measured in found.items()}
    better = min((medians[peer] for peer in HAND_WRITTEN if peer in medians), default=None)
    for peer, measured in found.items():
        cells = [
            setup.case.name,
            setup.pruning,
            PEERS[peer].label,
            machine.spread([one.seconds for one in measured]),
            machine.spread([SECONDS_PER_HOUR * setup.trials / one.seconds for one in measured], 0),
            _ratio(medians.get("example"), medians[peer]),
            _ratio(better, medians[peer]),
            f"{_seconds_to(measured, setup.case.target)} ({setup.case.target:g})",
            _accuracies([outcome for one in measured for outcome in one.complete]),
            _amount(measured),
            _not_training(measured),
        ]
        yield f"| {' | '.join(cells)} |"


def _ratio(other: float | None, seconds: float) -> str:
    return "" if other is None else f"{other / seconds:.2f}"


def _seconds_to(measured: list[Measured], target: float) -> str:
    seconds = [one.seconds_to(target) for one in measured]
    reached = [value for value in seconds if value is not None]
    return machine.spread(reached) if len(reached) == len(seconds) else f"reached in {len(reached)} of {len(seconds)}"


def _accuracies(complete: list[Outcome]) -> str:
    values = [outcome.accuracy for outcome in complete]
    return f"{max(values):.4f}, {statistics.fmean(values):.4f}"


def _amount(measured: list[Measured]) -> str:
    pruned = machine.spread([len(one.outcomes) - len(one.complete) for one in measured], 0)
    return f"{pruned}, {machine.spread([sum(outcome.epochs for outcome in one.outcomes) for one in measured], 0)}"


def _not_training(measured: list[Measured]) -> str:
    waiting = [100 * one.waiting for one in measured if one.waiting is not None]
    empty = [100 * one.empty_lanes for one in measured if one.empty_lanes is not None]
    return f"{machine.spread(waiting, 2)} %, {machine.spread(empty, 2)} %" if waiting else ""


def introduction(arguments: argparse.Namespace) -> list[str]:
    """Return the heading, machine and settings of the report, before its tables."""
    ray = f"- ray {version('ray')}" if ray_tune.IS_INSTALLED else "- Ray: NOT INSTALLED, SKIPPED"
    return [
        "# Training: trials per hour, beside every other way",
        "",
        machine.describe(),
        ray,
        f"- a core multiplies float32 matrices of {PEAK_SIZE} rows at {_peak():.0f} GFLOP/s, as PyTorch does it",
        f"- {arguments.device}; median of {arguments.repeats} (least to largest)",
    ]


def legend(arguments: argparse.Namespace, cases: list[str]) -> list[str]:
    """Return the explanation and the header of the table of `cases`."""
    return [
        *(f"- {CASES[name].name}: {_size(arguments, name)}" for name in cases),
        "- seconds to the accuracy: until the first complete trial whose validation accuracy is as good",
        "- waiting: of the time between a worker's first claim and its last result; lanes empty: of all, while others"
        " trained",
        "",
        HEADER,
    ]


def _peak() -> float:
    """GFLOP/s of one thread: the best of several products."""
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    matrix = torch.randn(PEAK_SIZE, PEAK_SIZE)
    seconds = []
    for _ in range(5):
        began = time.perf_counter()
        matrix @ matrix
        seconds.append(time.perf_counter() - began)
    torch.set_num_threads(n_threads)
    return 2 * PEAK_SIZE**3 / min(seconds) / 1e9


def _size(arguments: argparse.Namespace, name: str) -> str:
    trials, epochs = arguments.trials or CASES[name].trials, arguments.epochs or CASES[name].epochs
    return f"{trials} trials of {epochs} epochs"


def _cases(device: str) -> list[str]:
    """Cases that the device can train in reasonable time: emulated bf16 made a cnn eight times slower (EPYC).

    A GPU that is not here is taken for one with bf16.
    """
    has_bf16 = has_bf16_hardware(torch.device(device)) or (device == "cuda" and not torch.cuda.is_available())
    return [*(name for name, case in CASES.items() if has_bf16 or case.precision == "fp32"), WHOLE_SEARCH]


def print_progress(line: str) -> None:
    """Print a line of progress to standard error."""
    print(line, file=sys.stderr, flush=True)


def run(arguments: argparse.Namespace) -> Iterator[str]:
    """Measure all cases and yield the lines of the report."""
    peers = list(arguments.peers)
    if "ray" in peers and not ray_tune.IS_INSTALLED:
        print_progress("RAY IS NOT INSTALLED: SKIPPED (pip install -c constraints.txt -e '.[benchmarks]')")
        peers.remove("ray")
    cases = [name for name in arguments.case if name != WHOLE_SEARCH]
    yield from introduction(arguments)
    if cases:
        yield from legend(arguments, cases)
    for setup in setups(arguments, cases):
        yield from rows(setup, measure(setup, peers, arguments.repeats))
    if WHOLE_SEARCH in arguments.case:
        yield from [""] if cases else []
        definition = whole_search.study(arguments.trials, arguments.epochs)
        yield from whole_search.table(definition, arguments, peers, n_processes(arguments.device))


def setups(arguments: argparse.Namespace, cases: list[str]) -> Iterator[Setup]:
    """Yield what is to be measured, one block of the table after another."""
    for name in cases:
        for pruning in arguments.pruning:
            case = CASES[name]
            n_trials, epochs = arguments.trials or case.trials, arguments.epochs or case.epochs
            yield Setup(case, n_trials, epochs, pruning, arguments.device, arguments.data_dir)


def plan(arguments: argparse.Namespace) -> Iterator[str]:
    """Yield what `run` would measure, without measuring anything."""
    on_cpu, n_gpus = arguments.device == "cpu", torch.cuda.device_count()
    where = f"{N_CORES} cores" if on_cpu else f"{n_gpus or 'no'} GPUs here, a worker process for each"
    yield f"The peers would take turns on {arguments.device} ({where}), {arguments.repeats} times:"
    for name in arguments.peers:
        missing = " (NOT INSTALLED: WOULD BE SKIPPED)" if name == "ray" and not ray_tune.IS_INSTALLED else ""
        yield f"- {name}: {PEERS[name].label}{missing}"
    yield f"\nData: {arguments.data_dir}\n"
    yield "| case | pruning | data set, model, precision | trials | epochs |\n| --- | --- | --- | --- | --- |"
    for setup in setups(arguments, [name for name in arguments.case if name != WHOLE_SEARCH]):
        case = setup.case
        what = f"{case.dataset}, {case.model}, {case.precision}"
        yield f"| {case.name} | {setup.pruning} | {what} | {setup.trials} | {setup.epochs} |"
    if WHOLE_SEARCH in arguments.case:
        study = whole_search.study(arguments.trials, arguments.epochs)
        size = f"{study['n_trials']} | {study['training']['epochs']}"
        yield f"| {WHOLE_SEARCH} | {study['pruner']['name']} | examples/digits.yaml, start included | {size} |"
        yield f"\nPeers of {WHOLE_SEARCH}: {', '.join(n for n in whole_search.PEERS if n in arguments.peers)}"
    if not on_cpu:
        yield "\nTests for a GPU: python -m pytest -m gpu (with --collect-only -q it lists them)"


def n_processes(device: str) -> int:
    """Return the number of worker processes: one for each core, or for each GPU."""
    return N_CORES if device == "cpu" else torch.cuda.device_count()


def main() -> None:
    """Run the command."""
    parser = machine.command_line(__doc__)
    parser.add_argument(
        "--case",
        nargs="+",
        choices=[*CASES, WHOLE_SEARCH],
        help="without it: all, those in bf16 where the device has it",
    )
    parser.add_argument("--peers", nargs="+", default=list(PEERS), choices=PEERS)
    parser.add_argument("--pruning", nargs="+", default=list(get_args(Pruning)), choices=get_args(Pruning))
    parser.add_argument("--trials", type=int, help="for every case, instead of its own number")
    parser.add_argument("--epochs", type=int, help="for every case, instead of its own number")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu", choices=("cpu", "cuda"))
    parser.add_argument("--dry-run", action="store_true", help="show what would be measured, on any machine")
    parser.add_argument("--beside", type=Path, help="checkout of another version, measured too in digits-search")
    parser.add_argument("--data-dir", type=Path, default=local.default_data_dir())
    arguments = parser.parse_args()
    named = arguments.case or []  # the name of the record; a part must not replace the record of all
    arguments.case = named or _cases(arguments.device)
    if arguments.dry_run:
        print("\n".join(plan(arguments)))
        return
    if arguments.device == "cuda" and not torch.cuda.is_available():
        parser.error("no GPU: PyTorch sees none (--dry-run shows what would be measured)")
    machine.print_table("-".join(["training", *named]), run(arguments), record=arguments.record)


if __name__ == "__main__":
    main()
