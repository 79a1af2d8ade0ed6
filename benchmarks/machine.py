"""How the figures of a measurement are told and kept."""

import statistics
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from service.machine import describe as describe

RECORDS = Path(__file__).parent / "records"


def spread(values: Sequence[float], digits: int = 1) -> str:
    """Median, and the least and the largest value behind it."""
    middle = f"{statistics.median(values):,.{digits}f}"
    return middle if len(values) == 1 else f"{middle} ({min(values):,.{digits}f} to {max(values):,.{digits}f})"


def record(name: str, text: str) -> Path:
    """Keep a table under records/, with the day in its name."""
    RECORDS.mkdir(exist_ok=True)
    path = RECORDS / f"{datetime.now(UTC):%Y-%m-%d}-{name}.md"
    path.write_text(text)
    return path
