"""One worker process: it trains on its devices until the fleet dies or asks it to end."""

import logging
import os
import secrets
import socket
import sys
from functools import partial
from importlib.metadata import version

import torch

from service.client import Client, ClientError
from service.schemas.worker_info import WorkerInfo
from workers import scratch
from workers.data.trial_data import prepare_data
from workers.final_test.final_trial import FinalTrial
from workers.fleet.device_group import DeviceGroup
from workers.fleet.fleet import EXIT_CRASHED, EXIT_NO_RESTART, EXIT_OK
from workers.fleet.stopping import Stopping
from workers.loop.active_trials import BrokenDeviceError
from workers.loop.loop import Loop
from workers.options import Options
from workers.scheduling.lane_choice import LaneChoice
from workers.scheduling.lane_scheduler import LaneScheduler
from workers.scheduling.lane_times import LaneTimes, cache_file
from workers.sinks.choice import open_sinks
from workers.sinks.metric_fanout import MetricFanout
from workers.user_code.user_code_options import UserCodeOptions

logger = logging.getLogger("narrows.worker")

SWITCH_SECONDS = 0.0005
"""Longest time for which training keeps Python's lock from the threads that call the service. One call needs the lock
many times."""


def run(options: Options, devices: DeviceGroup, stopping: Stopping, started_at: float) -> int:
    """Train until there is a reason to end. Returns the status to exit with, one of those of workers.fleet.fleet.

    `started_at` is when this process began, by time.monotonic.
    """
    sys.setswitchinterval(SWITCH_SECONDS)
    scratch.remove_abandoned()
    device = torch.device(devices.first)
    if device.type == "cuda":
        torch.cuda.set_device(device)
    else:
        torch.set_num_threads(1)
    user_code = UserCodeOptions(
        options.allowance._replace(n_devices=len(devices)),
        options.code,
        options.data_dir.resolve(),
        options.download,
        options.lanes,
        options.keep_folders,
        options.fresh_imports,
        options.python,
    )
    load_data = partial(prepare_data, data_dir=options.data_dir, device=device, download=options.download)
    test = FinalTrial(device, options.data_dir, download=options.download)
    choice = LaneChoice(options.lanes, LaneTimes(device, cache_file()))
    trainer = LaneScheduler(load_data, device, choice, test)
    fanout = MetricFanout(open_sinks(options.tensorboard, options.mlflow))
    try:
        with Client(options.server, options.token) as client:
            loop = Loop(
                client,
                worker_info(devices),
                devices,
                trainer,
                stopping,
                study=options.study,
                exit_when_idle_seconds=options.exit_when_idle,
                checkpoint_seconds=options.checkpoint_seconds,
                keep_models=options.keep_models,
                n_processes=options.processes or 1,
                user_code=user_code,
                trials_per_device=options.trials_per_device,
                fanout=fanout,
                started_at=started_at,
            )
            loop.run()
    except ClientError as error:
        logger.error("%s", error)
        return EXIT_NO_RESTART
    except BrokenDeviceError as error:
        logger.error("%s", error)
        return EXIT_CRASHED
    finally:
        choice.save()
        fanout.close()
    return EXIT_OK


def worker_info(devices: DeviceGroup) -> WorkerInfo:
    """How this process names itself to the service. Its id is unique for all time: host, pid, a random part, device."""
    host = socket.gethostname()[:150]
    name = f"{host}/{os.getpid()}-{secrets.token_hex(2)}/{devices}"
    return WorkerInfo(
        id=name,
        host=host,
        device=str(devices),
        n_devices=len(devices),
        narrows_version=version("narrows"),
        torch_version=str(torch.__version__),
    )
