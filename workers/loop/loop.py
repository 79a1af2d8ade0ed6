"""The life of one worker process: claim, train, report, hand over, until it is asked to end."""

import logging
import threading
import time
from collections.abc import Callable

from service.client import Client
from service.schemas.worker_info import WorkerInfo
from workers.fleet.device_group import DeviceGroup
from workers.fleet.stopping import Interrupted, StopFlag, Stopping
from workers.leases.service_link import ServiceLink
from workers.loop.active_trials import ActiveTrials
from workers.loop.trainer_router import Trainer, TrainerRouter
from workers.loop.trial_source import TrialSource
from workers.loop.utilization import Utilization
from workers.options import KeepModels
from workers.sinks.metric_fanout import NO_SINKS, MetricFanout
from workers.user_code.commands.command_starter import CommandStarter
from workers.user_code.custom_parts.subprocess_trainer import SubprocessTrainer
from workers.user_code.device_pool import DevicePool
from workers.user_code.objectives.function_starter import FunctionStarter
from workers.user_code.objectives.objective_runner import ObjectiveRunner
from workers.user_code.objectives.parallel_trials import ParallelTrials
from workers.user_code.process_starter import ProcessStarter
from workers.user_code.user_code_options import UserCodeOptions

logger = logging.getLogger("narrows.worker")

NO_USER_CODE = UserCodeOptions()


class Loop:
    """Trains trials on its devices until it is asked to stop, or had none for `exit_when_idle_seconds`."""

    def __init__(
        self,
        client: Client,
        worker: WorkerInfo,
        devices: DeviceGroup,
        trainer: Trainer,
        stopping: Stopping,
        *,
        study: str | None = None,
        exit_when_idle_seconds: float | None = None,
        checkpoint_seconds: float = 30.0,
        keep_models: KeepModels = "best",
        n_processes: int = 1,
        user_code: UserCodeOptions = NO_USER_CODE,
        trials_per_device: int = 1,
        fanout: MetricFanout = NO_SINKS,
        clock: Callable[[], float] = time.monotonic,
        started_at: float | None = None,
    ) -> None:
        """`trainer` trains built-in models on the first of `devices`; trials of users' code run on all of them.

        `trials_per_device` of these may share a device. `n_processes` is the number of worker processes on this
        machine. `started_at` is when this process began, by the clock; None for now.
        """
        self._stopping = stopping
        self._utilization = Utilization(clock, started_at)
        seconds, news = self._utilization.worker_seconds, threading.Event()
        self._link = link = ServiceLink(
            client, worker, stopping, study, keep_models, n_processes, fanout, seconds, news, clock
        )
        self._starter = ProcessStarter(devices, user_code.code, forks=not user_code.fresh_imports)
        custom = SubprocessTrainer(user_code, self._starter, client, link.errands, stopping, clock)
        self._trainer = TrainerRouter(trainer, custom)
        runner = ObjectiveRunner(
            user_code,
            FunctionStarter(user_code, self._starter),
            CommandStarter(user_code),
            client,
            link.reporter,
            link.finisher,
            link.errands,
            StopFlag(stopping),
            checkpoint_seconds=checkpoint_seconds,
            clock=clock,
        )
        objectives = ParallelTrials(runner, DevicePool(devices, trials_per_device), news)
        shared = (link, self._trainer, objectives, stopping, self._utilization, clock)
        self._source = TrialSource(
            *shared, allowance=user_code.allowance, exit_when_idle_seconds=exit_when_idle_seconds
        )
        self._active = ActiveTrials(*shared, news=news, device=devices.first, checkpoint_seconds=checkpoint_seconds)

    def run(self) -> None:
        """Raises ClientError when the service refuses this worker, and BrokenDeviceError."""
        try:
            while not self._stopping.is_set() and self._turn():
                pass
        except Interrupted:
            pass
        finally:
            self._drain()
        self._link.errands.check()

    def _turn(self) -> bool:
        """Train some batches of every trial, or wait for one. False once that took too long."""
        self._link.errands.check()
        self._link.prefetcher.check()
        self._active.remove_closed()
        self._active.start_decided()
        self._start_ready()
        has_more = not self._link.prefetcher.found_nothing
        if self._trainer.trials:
            self._active.end_objectives()
            self._active.train(has_more=has_more)
            self._active.save_due()
            return True
        if self._active.n_held:
            self._active.wait_for_decision()
            return True
        if self._active.n_objectives:
            self._active.wait_for_objectives(has_more=has_more)
            return True
        trials = self._source.wait()
        for trial in trials or []:
            self._active.start(trial)
        return trials is not None

    def _start_ready(self) -> None:
        """Fill the lanes with trials that were claimed ahead, and claim the next ones."""
        n_lanes = max(1, self._trainer.n_lanes)
        while len(self._active) < n_lanes and (trial := self._source.take_ready()) is not None:
            self._active.start(trial)
        self._source.claim_ahead(self._active.n_held)

    def _drain(self) -> None:
        """Give every trial back, and wait until the service knows."""
        for trial in self._source.close():
            self._link.finisher.release(trial.lease)
        self._active.give_back()
        self._starter.close()
        self._link.close()
        logger.info("ends after %s", self._utilization)
