"""What the trials of a study have used: the epochs that they have trained, and the hours of devices."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import datetime, timedelta
from fractions import Fraction

from service.schemas.study.definition import Definition
from service.schemas.study.devices import share_of, whole
from service.schemas.study.training import Training
from storage import EpochRecord, HeldTime, LeaseRecord, StudyRecord

MICROSECOND = timedelta(microseconds=1)
MICROSECONDS_PER_HOUR = 3_600_000_000


class TrainedEpochs:
    """Counts the reported steps of trials: a step of a trial counts once, however often it was trained.

    Steps after the checkpoint from which a trial is tried again do not count until they are reported again, as in the
    database.
    """

    def __init__(self, n_stored: int = 0, unfinished: Iterable[EpochRecord] = ()) -> None:
        """`n_stored` reports are in the database, those of `unfinished` trials among them."""
        self.n = n_stored
        self._steps: defaultdict[int, set[int]] = defaultdict(set)
        for epoch in unfinished:
            self._steps[epoch.trial_id].add(epoch.step)

    def add(self, trial_id: int, step: int) -> None:
        """Count a reported step."""
        steps = self._steps[trial_id]
        self.n += step not in steps
        steps.add(step)

    def forget(self, trial_id: int, after_step: int | None) -> None:
        """Forget the steps of a trial after a step, or all of them."""
        steps = self._steps[trial_id]
        later = {step for step in steps if after_step is None or step > after_step}
        self.n -= len(later)
        steps -= later

    def end(self, trial_id: int) -> None:
        """Keep the count of a trial that has ended, whose steps are reported no more."""
        self._steps.pop(trial_id, None)


class DeviceTime:
    """Sums the time for which workers held trials, times the devices of a trial.

    Trials that a worker holds at the same time, in lanes or claimed ahead, share its device: together they count as the
    trial's share of it each, and at most as the whole device.
    """

    def __init__(self, devices: float, held: Iterable[HeldTime] = ()) -> None:
        """`devices` are those of a trial, and `held` the times of all leases so far."""
        self._share, self._whole = share_of(devices), whole(devices)
        self._n_held: Counter[str] = Counter()
        self._in_use = Fraction(0)
        self._used = Fraction(0)  # in microseconds: exact, so that a restart gives the same
        self._since: datetime | None = None
        changes = [
            (at, worker_id, change)
            for worker_id, granted_at, ended_at in held
            for at, change in ((granted_at, 1), (ended_at, -1))
            if at is not None
        ]
        for at, worker_id, change in sorted(changes, key=lambda one: one[0]):
            self._change(worker_id, at, change)

    def start(self, lease: LeaseRecord) -> None:
        """Note that a lease was granted."""
        self._change(lease.worker_id, lease.granted_at, 1)

    def end(self, lease: LeaseRecord, ended_at: datetime) -> None:
        """Note that a lease has ended."""
        self._change(lease.worker_id, ended_at, -1)

    def hours(self, now: datetime) -> float:
        """Device hours until now."""
        return float(self._used_until(now) / MICROSECONDS_PER_HOUR)

    def _used_until(self, now: datetime) -> Fraction:
        passed = 0 if self._since is None else max(0, (now - self._since) // MICROSECOND)
        return self._used + self._in_use * passed

    def _change(self, worker_id: str, at: datetime, change: int) -> None:
        self._used = self._used_until(at)
        self._since = at if self._since is None else max(self._since, at)
        before = self._in_use_by(worker_id)
        self._n_held[worker_id] += change
        self._in_use += self._in_use_by(worker_id) - before
        if self._n_held[worker_id] == 0:
            del self._n_held[worker_id]

    def _in_use_by(self, worker_id: str) -> Fraction:
        return self._whole * min(Fraction(1), self._share * self._n_held[worker_id])


class UsedBudget:
    """What a study's limits are about: `epochs` and `devices`, each None without its limit."""

    def __init__(
        self,
        definition: Definition,
        stored: tuple[int, Iterable[HeldTime]] = (0, ()),
        unfinished: Iterable[EpochRecord] = (),
    ) -> None:
        """`stored` is what the database has of a study, and `unfinished` are the reports of its unfinished trials."""
        self._definition = definition
        n_epochs, held = stored
        self.epochs = None if definition.max_total_epochs is None else TrainedEpochs(n_epochs, unfinished)
        self.devices = None if definition.max_device_hours is None else device_time(definition, held)

    def start_lease(self, lease: LeaseRecord) -> None:
        """Count the device of a new lease from now on."""
        if self.devices is not None:
            self.devices.start(lease)

    def end_lease(self, lease: LeaseRecord, ended_at: datetime) -> None:
        """Count the device of a lease no longer."""
        if self.devices is not None:
            self.devices.end(lease, ended_at)

    def add_epoch(self, trial_id: int, step: int) -> None:
        """Count a reported epoch."""
        if self.epochs is not None:
            self.epochs.add(trial_id, step)

    def forget_epochs(self, trial_id: int, after_step: int | None) -> None:
        """Count the epochs of a trial that goes on after a step, or from its beginning, no more from there."""
        if self.epochs is not None:
            self.epochs.forget(trial_id, after_step)

    def end_trial(self, trial_id: int) -> None:
        """Note that a trial has ended, which reports no more."""
        if self.epochs is not None:
            self.epochs.end(trial_id)

    def reason(self, record: StudyRecord, now: datetime) -> str | None:
        """Why the study ends; None while its trials have used less than its limits."""
        max_epochs, max_hours = limits_of(self._definition, record)
        if self.epochs is not None and max_epochs is not None and self.epochs.n >= max_epochs:
            return f"its trials have trained {self.epochs.n} epochs (max_total_epochs {max_epochs})"
        if self.devices is None or max_hours is None:
            return None
        hours = self.devices.hours(now)
        if hours < max_hours:
            return None
        return f"its trials have used {hours:.4g} device hours (max_device_hours {max_hours:g})"


def limits_of(definition: Definition, record: StudyRecord) -> tuple[int | None, float | None]:
    """The present max_total_epochs and max_device_hours of a study, which may have been raised."""
    return (
        definition.max_total_epochs if record.max_total_epochs is None else record.max_total_epochs,
        definition.max_device_hours if record.max_device_hours is None else record.max_device_hours,
    )


def device_time(definition: Definition, held: Iterable[HeldTime]) -> DeviceTime:
    """The device time of a study's leases. A trial of built-in training has one device."""
    training = definition.training
    return DeviceTime(1 if isinstance(training, Training) else training.devices, held)
