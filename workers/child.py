"""One worker process: it trains on one device until its parent ends, or tells it to."""

import logging
import os
import secrets
import socket
from collections.abc import Callable
from pathlib import Path

import torch

from service.client import Client, ClientError
from service.schemas.data import Dataset
from service.schemas.protocol import Lease, WorkerInfo
from workers.data import TrialData, prepare
from workers.fleet import CRASHED, GOOD, USELESS
from workers.loop import BrokenDeviceError, Loop, Metrics
from workers.options import Options
from workers.stopping import Stopping
from workers.trainer import train_trial

logger = logging.getLogger("narrows.worker")


class TorchTrainer:
    """The built-in training on one device."""

    def __init__(self, device: torch.device, data_dir: Path, download: bool) -> None:
        self._device = device
        self._data_dir = data_dir
        self._download = download

    def prepare(self, dataset: Dataset) -> TrialData:
        return prepare(dataset, self._data_dir, self._device, download=self._download)

    def train(
        self, lease: Lease, data: TrialData, report: Callable[[int, Metrics], None], should_stop: Callable[[], bool]
    ) -> Metrics | None:
        return train_trial(lease.training, lease.seed, data, self._device, report=report, should_stop=should_stop)


def run(options: Options, device_name: str, stopping: Stopping) -> int:
    """Returns the status to exit with, as workers.fleet has them."""
    device = torch.device(device_name)
    if device.type == "cuda":
        torch.cuda.set_device(device)
    else:
        torch.set_num_threads(1)
    trainer = TorchTrainer(device, options.data_dir, options.download)
    try:
        with Client(options.server, options.token) as client:
            loop = Loop(
                client,
                worker_info(device_name),
                trainer,
                stopping,
                study=options.study,
                exit_when_idle_seconds=options.exit_when_idle,
            )
            loop.run()
    except ClientError as error:
        logger.error("%s", error)
        return USELESS
    except BrokenDeviceError as error:
        logger.error("%s", error)
        return CRASHED
    return GOOD


def worker_info(device_name: str) -> WorkerInfo:
    """An id that no other process has, now or later: host, process and a random part, device."""
    host = socket.gethostname()[:150]
    return WorkerInfo(id=f"{host}/{os.getpid()}-{secrets.token_hex(2)}/{device_name}", host=host, device=device_name)
