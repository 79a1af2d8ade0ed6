"""`narrows worker`: the process becomes the fleet of workers of this machine."""

import os
import sys
from typing import Any

from narrows.cli.options import with_settings


@with_settings("worker")
def worker(token: str | None, **settings: Any) -> None:
    """Train trials on this machine's devices, until SIGTERM or Ctrl-C; unfinished trials are given back."""
    if token:
        os.environ["NARROWS_TOKEN"] = token
    sys.stdout.flush()
    from workers import __name__ as workers

    # The process becomes another program, which loads nothing of the service.
    os.execv(sys.executable, [sys.executable, "-P", "-m", workers, *_arguments(settings)])


def _arguments(settings: dict[str, Any]) -> list[str]:
    """The settings as the command line that workers.options reads: --name=value, once for each value of a list."""
    values = {name: value if isinstance(value, list) else [value] for name, value in settings.items()}
    given = [(name, value) for name, several in values.items() for value in several if value is not None]
    return [f"--{name.replace('_', '-')}={value}" for name, value in given]
