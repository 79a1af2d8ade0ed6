"""The sinks that a worker was started with."""

import importlib.util
import logging
from collections.abc import Callable
from pathlib import Path

from workers.sinks.metric_fanout import Sink
from workers.sinks.mlflow import MLflow
from workers.sinks.tensorboard import TensorBoard

logger = logging.getLogger("narrows.worker")

PACKAGES = {"tensorboard": "tensorboard", "mlflow": "mlflow"}
"""The package that each flag needs. The extra of Narrows that installs it is named like the flag."""


def missing(tensorboard: Path | None, mlflow: str | None) -> str | None:
    """A sentence that says what to install for the flags that are given; None if nothing is missing."""
    given = {"tensorboard": tensorboard, "mlflow": mlflow}
    for flag, package in PACKAGES.items():
        if given[flag] is not None and importlib.util.find_spec(package) is None:
            return f"--{flag} needs the package {package}: pip install 'narrows[{flag}]'"
    return None


def open_sinks(tensorboard: Path | None, mlflow: str | None) -> list[Sink]:
    """The sinks of the flags that are given. One that cannot be opened is logged and left out."""
    makers: list[tuple[str, Callable[[], Sink]]] = []
    if tensorboard is not None:
        makers.append(("TensorBoard", lambda: TensorBoard(tensorboard)))
    if mlflow is not None:
        makers.append(("MLflow", lambda: MLflow(mlflow)))
    sinks = []
    for name, make in makers:
        try:
            sinks.append(make())
        except Exception as error:  # noqa: BLE001 - a sink is no reason for a worker to end
            logger.warning("%s is not written to: %s", name, " ".join(str(error).split())[:300])
    return sinks
