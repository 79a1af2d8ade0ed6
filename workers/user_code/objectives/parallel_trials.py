"""Trials of users' code that run beside one another in one worker process."""

import threading
from collections import deque
from dataclasses import dataclass
from queue import Empty, SimpleQueue

from service.schemas.protocol import Lease
from service.schemas.study.training import Training
from workers.faults import Fault
from workers.fleet.device_group import DeviceGroup
from workers.user_code.device_pool import DevicePool
from workers.user_code.objectives.objective_runner import ObjectiveRunner


@dataclass(frozen=True)
class EndedTrial:
    """A trial that has ended. fault: why it failed; None if it did not. error: an error of the worker's own code."""

    lease: Lease
    fault: Fault | None = None
    error: BaseException | None = None


class ParallelTrials:
    """Runs each trial on a thread of its own, from its start to its end, on devices of the pool.

    So a trial that hangs, waits for the service or takes long to end delays no other. `news` is set when one has ended.
    """

    def __init__(self, runner: ObjectiveRunner, pool: DevicePool, news: threading.Event) -> None:
        self._runner = runner
        self._pool = pool
        self._news = news
        self._threads: dict[str, threading.Thread] = {}
        self._waiting: deque[Lease] = deque()
        self._ended: SimpleQueue[EndedTrial] = SimpleQueue()

    def __len__(self) -> int:
        """Number of trials that run or wait for a device."""
        return len(self._threads) + len(self._waiting)

    @property
    def n_running(self) -> int:
        """Number of trials that run."""
        return len(self._threads)

    @property
    def n_free(self) -> int:
        """How many trials more could run now that are like the last one."""
        return 0 if self._waiting else self._pool.n_free

    @property
    def room(self) -> float:
        """The most of `devices` that a further trial may ask for; 0 if no trial has room."""
        return 0.0 if self._waiting else self._pool.room

    def start(self, lease: Lease) -> None:
        """Start a trial, or let it wait until the pool has room for it."""
        self._waiting.append(lease)
        self._start_waiting()

    def take_ended(self) -> list[EndedTrial]:
        """The trials that have ended since the last call. Starts those that have waited for their devices."""
        ended = []
        while True:
            try:
                trial = self._ended.get_nowait()
            except Empty:
                break
            ended.append(trial)
            thread = self._threads.pop(trial.lease.lease_id, None)
            if thread is not None:
                thread.join()
                self._pool.give_back(trial.lease.lease_id)
        if ended:
            self._start_waiting()
        return ended

    def close(self) -> list[Lease]:
        """Ask the trials to end, and wait until they have. Returns those that have not begun."""
        self._runner.stopping.set()
        for thread in self._threads.values():
            thread.join()
        return list(self._waiting)

    def _start_waiting(self) -> None:
        while self._waiting:
            lease = self._waiting[0]
            training = lease.training
            assert not isinstance(training, Training), "the lease is of a trial with users' code"
            devices = self._pool.take(lease.lease_id, training.devices)
            if devices is None:
                return
            self._waiting.popleft()
            name = f"trial {lease.study} #{lease.trial_number}"
            thread = threading.Thread(target=self._run, args=(lease, devices), name=name, daemon=True)
            try:
                thread.start()
            except RuntimeError as error:  # the machine has no room for another thread
                self._pool.give_back(lease.lease_id)
                fault = Fault(f"the trial's thread could not be started: {error}", retry=True)
                self._ended.put(EndedTrial(lease, self._runner.fail(lease, fault)))
                self._news.set()
                continue
            self._threads[lease.lease_id] = thread

    def _run(self, lease: Lease, devices: DeviceGroup) -> None:
        try:
            ended = EndedTrial(lease, self._runner.run(lease, devices))
        except BaseException as error:  # noqa: BLE001 - raised again in the thread that asks
            ended = EndedTrial(lease, error=error)
        self._ended.put(ended)
        self._news.set()
