"""TensorBoard's and MLflow's own readers, for tests of what Narrows writes for them.

Both are imported when they are first used: they take seconds, which every process that collects the tests would spend.
"""

from pathlib import Path
from typing import Any


def tensorboard_reader(folder: Path) -> Any:
    """An `EventAccumulator` that has read the folder."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    reader = EventAccumulator(str(folder))
    reader.Reload()
    return reader


def mlflow_client(uri: str) -> Any:
    """An `MlflowClient` of the database at `uri`."""
    from mlflow.tracking import MlflowClient

    return MlflowClient(uri)
