"""TensorBoard event files: a folder for each trial, with scalars by step and the parameters as hparams."""

import importlib
from pathlib import Path
from typing import Any

from service.schemas.fields import Scalar
from service.schemas.protocol import Lease
from workers.sinks.metric_fanout import LeaseEnded, MetricsReported

STATE = "trial_state"


class TensorBoard:
    """Writes to FOLDER/STUDY/NUMBER. Of a step that a trial repeats, TensorBoard shows the last values."""

    name = "TensorBoard"

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._new_writer: Any = importlib.import_module("torch.utils.tensorboard").SummaryWriter
        self._writers: dict[str, Any] = {}
        self._opened: set[str] = set()

    def write(self, event: MetricsReported | LeaseEnded) -> None:
        """Write an event to the trial's folder. Raises what the writer raises."""
        try:
            if isinstance(event, MetricsReported):
                self._report(event)
            else:
                self._end(event)
        except Exception:
            self._writers.pop(event.lease.lease_id, None)  # its thread may have ended: the next report opens another
            raise

    def close(self) -> None:
        """Close the files of all trials."""
        for writer in self._writers.values():
            writer.close()

    def _report(self, event: MetricsReported) -> None:
        writer = self._writer(event.lease)
        for name, value in event.metrics.items():
            writer.add_scalar(name, value, event.step)
        writer.flush()

    def _end(self, event: LeaseEnded) -> None:
        lease_id = event.lease.lease_id
        if event.state not in (None, "WAITING"):
            hparams = {name: _hparam(value) for name, value in event.params.items()}
            metrics = {f"final/{name}": value for name, value in event.metrics.items()}
            self._writer(event.lease).add_hparams({**hparams, STATE: event.state}, metrics, run_name=".")
        self._opened.discard(lease_id)
        if (writer := self._writers.pop(lease_id, None)) is not None:
            writer.close()

    def _writer(self, lease: Lease) -> Any:
        if lease.lease_id not in self._writers:
            folder = self._folder / lease.study / f"{lease.trial_number:05d}"
            first = 0 if lease.resume is None else lease.resume.step + 1
            repeats = lease.lease_id not in self._opened and any(folder.glob("events.out.*"))
            self._writers[lease.lease_id] = self._new_writer(str(folder), purge_step=first if repeats else None)
            self._opened.add(lease.lease_id)
        return self._writers[lease.lease_id]


def _hparam(value: Scalar) -> Scalar:
    return "null" if value is None else value
