"""A description of the machine and the versions that a figure was measured with."""

import os
import platform
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

PACKAGES = ("narrows", "optuna", "torch", "torchvision", "sqlalchemy", "fastapi", "uvicorn")


def describe() -> str:
    """Return time, processor, memory, system and package versions as a Markdown list."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    versions = ", ".join(f"{package} {version(package)}" for package in PACKAGES)
    return "\n".join(
        [
            f"- {datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
            f"- {_processor()}, {os.cpu_count()} cores, {memory:.0f} GiB",
            f"- {platform.system()} {platform.release()}, Python {platform.python_version()}",
            f"- {versions}",
        ]
    )


def _processor() -> str:
    """Return the name of the processor, with family and model, because virtual machines often hide the name."""
    path = Path("/proc/cpuinfo")
    if not path.exists():
        return platform.processor()
    pairs = (line.partition(":") for line in path.read_text().partition("\n\n")[0].splitlines())
    facts = {name.strip(): value.strip() for name, _, value in pairs}
    name = facts.get("model name", platform.processor())
    return f"{name} (family {facts['cpu family']}, model {facts['model']})" if "cpu family" in facts else name
