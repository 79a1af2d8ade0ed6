"""How the figures of a measurement are told and kept."""

import argparse
import statistics
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path

from narrows.experiments.machine import describe as describe

RECORDS = Path(__file__).parent / "records"


def spread(values: Sequence[float], digits: int = 1) -> str:
    """Median, and the least and the largest value behind it."""
    middle = f"{statistics.median(values):,.{digits}f}"
    return middle if len(values) == 1 else f"{middle} ({min(values):,.{digits}f} to {max(values):,.{digits}f})"


def command_line(doc: str | None) -> argparse.ArgumentParser:
    """The options that all measurements have, and the text of a module as help."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--record", action="store_true", help="keep the table under benchmarks/records/")
    return parser


def print_table(name: str, *parts: Iterable[str], record: bool) -> None:
    """Print lines as they come, and keep them under records/ if they are to be, with the day and a name."""
    told = []
    for line in chain(*parts):
        print(line, flush=True)
        told.append(line)
    if record:
        RECORDS.mkdir(exist_ok=True)
        path = RECORDS / f"{datetime.now(UTC):%Y-%m-%d}-{name}.md"
        path.write_text("\n".join(told) + "\n")
        print(f"kept as {path.name}")
