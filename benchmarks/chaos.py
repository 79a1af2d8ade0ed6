"""Kill workers and the service, drop and repeat calls, and count what is lost or counted twice.

    python -m benchmarks.chaos [--minutes 30] [--database postgresql] [--workers 8] [--seed N] [--record]

Studies run one after another on one database. Every few seconds a worker or the service is killed, or a worker is
frozen for longer than its lease. A proxy between them drops, refuses, doubles and delays calls at random. Each finished
study is checked. This is the acceptance test of chaos, run for longer. Run it from the repository's root.
"""

import random
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks import machine
from benchmarks.storage import database
from tests.acceptance.chaos.accounts import Accounts
from tests.acceptance.chaos.harness import LEASE_SECONDS, Turmoil
from tests.acceptance.chaos.proxy import FATES

N_TRIALS = 100
STUDY_LIMIT_SECONDS = 900.0
LONGEST_PAUSE_SECONDS = 15.0
EVENTS = {"kill worker": 5, "kill service": 3, "freeze worker": 2}
"""Relative frequency of each event."""
STATES = ("COMPLETE", "PRUNED", "FAIL")


class Timetable:
    """Chooses the next event, at random moments."""

    def __init__(self, seed: int) -> None:
        self._numbers = random.Random(seed)
        self._next = time.monotonic()

    def __call__(self, _share: float) -> Sequence[str]:
        """Return the events that happen now."""
        if time.monotonic() < self._next:
            return []
        self._next = time.monotonic() + self._numbers.uniform(0.0, LONGEST_PAUSE_SECONDS)
        return self._numbers.choices(list(EVENTS), list(EVENTS.values()))


def run(kind: str, minutes: float, n_workers: int, seed: int) -> list[str]:
    """Run studies for `minutes` while processes are killed, and return the lines of the report."""
    accounts, timetable = Accounts(), Timetable(seed)
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, database(kind) as url:
        with Turmoil(Path(folder), url, seed, n_workers) as turmoil:
            n_studies = 0
            while time.monotonic() - started < 60 * minutes:
                name = f"chaos-{n_studies}"
                turmoil.run(name, N_TRIALS, timetable, STUDY_LIMIT_SECONDS)
                before = {*accounts.lost, *accounts.doubled}
                accounts.add(turmoil.client, url, name, N_TRIALS, turmoil.proxy.seen)
                turmoil.proxy.seen.forget_reports()
                n_studies += 1
                print(f"{name}: lost {len(accounts.lost)}, doubled {len(accounts.doubled)}", flush=True)
                for wrong in sorted({*accounts.lost, *accounts.doubled} - before):
                    print(wrong, flush=True)
        seconds = time.monotonic() - started
    setting = f"{n_studies} studies of {N_TRIALS} trials in {seconds / 60:.1f} minutes, {kind}, {n_workers} workers"
    return table(f"{setting}, seed {seed}", accounts, turmoil)


def table(setting: str, accounts: Accounts, turmoil: Turmoil) -> list[str]:
    """Return the lines of the report: machine, setting, counts, and every lost or doubled item."""
    counts, happened, attempts = turmoil.proxy.seen.counts, turmoil.happened, accounts.attempts
    n_calls = counts.total()
    rows = {
        "trials finished": accounts.trials.total(),
        "of them complete, pruned, failed": ", ".join(f"{accounts.trials[state]:,}" for state in STATES),
        "reports kept": accounts.n_reports,
        "workers killed": happened["kill worker"],
        f"workers frozen for longer than a lease ({LEASE_SECONDS:g} s)": happened["freeze worker"],
        "services killed": happened["kill service"],
        "attempts that expired": attempts["expire"],
        "calls": n_calls,
        **{f"calls: {fate}": counts[fate] for fate in FATES if fate != "pass"},
        "answers with status 500": turmoil.proxy.seen.n_server_errors,
        "lost": len(accounts.lost),
        "doubled": len(accounts.doubled),
    }
    lines = [f"| {what} | {figure if isinstance(figure, str) else f'{figure:,}'} |" for what, figure in rows.items()]
    head = ["# Chaos", "", machine.describe(), f"- {setting}", "", "| | |", "| --- | --- |"]
    wrong = [f"- {what}" for what in (*accounts.lost, *accounts.doubled)]
    return [*head, *lines, *(["", *wrong] if wrong else [])]


def main() -> None:
    """Run the command."""
    parser = machine.command_line(__doc__)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--database", default="postgresql", choices=["postgresql", "sqlite"])
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--seed", type=int, default=time.time_ns() % 2**32)
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}", flush=True)
    lines = run(arguments.database, arguments.minutes, arguments.workers, arguments.seed)
    machine.print_table(f"chaos-{arguments.database}", lines, record=arguments.record)


if __name__ == "__main__":
    main()
