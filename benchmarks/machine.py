"""How measurements print and record their results."""

import argparse
import statistics
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path

from narrows.experiments.machine import describe as describe

RECORDS = Path(__file__).parent / "records"


def spread(values: Sequence[float], digits: int = 1) -> str:
    """Return the median of values as text, followed by the smallest and the largest if there are several."""
    middle = f"{statistics.median(values):,.{digits}f}"
    return middle if len(values) == 1 else f"{middle} ({min(values):,.{digits}f} to {max(values):,.{digits}f})"


def command_line(doc: str | None) -> argparse.ArgumentParser:
    """Return a parser with the options of every measurement. `doc` is the module's docstring, shown as help."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--record", action="store_true", help="write the table to benchmarks/records/")
    return parser


def print_table(name: str, *parts: Iterable[str], record: bool) -> None:
    """Print lines as they come. With `record` also write them to records/, named by the day and `name`."""
    printed = []
    for line in chain(*parts):
        print(line, flush=True)
        printed.append(line)
    if record:
        RECORDS.mkdir(exist_ok=True)
        path = RECORDS / f"{datetime.now(UTC):%Y-%m-%d}-{name}.md"
        path.write_text("\n".join(printed) + "\n")
        print(f"written to {path.name}")
