"""The worker protocol without a service: which answer every call must get, and what must be kept afterwards."""

from dataclasses import dataclass, field

TERM_SECONDS = 60.0
LOWEST_VALUE = 0.1
"""A report below this is pruned."""

FINISHED = ("COMPLETE", "PRUNED", "FAIL")
SAME_CALL = {"complete": ("complete", "prune", "stop"), "fail": ("fail",), "release": ("release",)}


@dataclass
class HeldLease:
    """One lease, open until it has an outcome; `expires` is on the monotonic clock."""

    lease_id: str
    number: int
    attempt: int
    expires: float
    outcome: str | None = None
    state: str | None = None
    said: tuple[object, ...] | None = None
    """What the call that ended it said, or the first completion after a decision."""
    reports: dict[int, tuple[float, str]] = field(default_factory=dict)

    @property
    def is_open(self) -> bool:
        return self.outcome is None

    def known(self, step: int) -> tuple[float, str] | None:
        """The value and the decision of a step, unless the trial went back to the queue without them."""
        forgotten = self.outcome == "expire" or self.state == "WAITING"
        return None if forgotten else self.reports.get(step)


@dataclass
class KnownTrial:
    """One trial: `curve` has what it reported by step, `checkpoint` the step that it can go on from."""

    state: str = "WAITING"
    n_lost_attempts: int = 0
    curve: dict[int, float] = field(default_factory=dict)
    checkpoint: int | None = None
    leases: list[HeldLease] = field(default_factory=list)

    @property
    def next_step(self) -> int:
        return max(self.curve, default=-1) + 1


class Protocol:
    """One study with its trials and leases. Its owner says what time it is."""

    def __init__(self, n_trials: int, max_attempts: int) -> None:
        self.n_trials = n_trials
        self.max_attempts = max_attempts
        self.state = "running"
        self.now = 0.0
        self.trials: list[KnownTrial] = []
        self.leases: dict[str, HeldLease] = {}

    def trial_of(self, lease: HeldLease) -> KnownTrial:
        return self.trials[lease.number]

    def open_leases(self) -> list[HeldLease]:
        return [lease for lease in self.leases.values() if lease.is_open]

    def waiting(self) -> list[int]:
        return [number for number, trial in enumerate(self.trials) if trial.state == "WAITING"]

    def retries(self) -> set[int]:
        """Trials that were under a lease before: they come first."""
        return {number for number in self.waiting() if self.trials[number].leases}

    # Claims

    def n_grantable(self, max_trials: int) -> int:
        if self.state != "running":
            return 0
        return min(max_trials, len(self.waiting()) + self.n_trials - len(self.trials))

    def grant(self, lease_id: str, number: int) -> HeldLease:
        """A trial is given to a worker. Raises AssertionError when that must not be."""
        assert lease_id not in self.leases, "a lease is granted once"
        assert number <= len(self.trials), "numbers leave no gap"
        if number == len(self.trials):
            self.trials.append(KnownTrial())
        trial = self.trials[number]
        assert len(self.trials) <= self.n_trials, "the budget is overrun"
        assert trial.state == "WAITING", f"a trial that is {trial.state} is handed out"
        trial.state = "RUNNING"
        lease = HeldLease(lease_id, number, trial.n_lost_attempts + 1, self.now + TERM_SECONDS)
        assert lease.attempt <= self.max_attempts
        trial.leases.append(lease)
        self.leases[lease_id] = lease
        return lease

    # Reports

    def conflicts(self, lease: HeldLease, step: int, value: float) -> bool:
        known = lease.known(step)
        return known is not None and known[0] != value

    def report(self, lease: HeldLease, step: int, value: float) -> str:
        """The decision."""
        self.renew(lease)
        known = lease.known(step)
        if known is not None:
            return known[1]
        if not lease.is_open:
            return lease.outcome if lease.outcome in ("prune", "stop") else "lost"
        decision = "stop" if self.state == "stopped" else "prune" if value < LOWEST_VALUE else "continue"
        lease.reports[step] = (value, decision)
        self.trial_of(lease).curve[step] = value
        if decision != "continue":
            self._close(lease, decision, "PRUNED" if decision == "prune" else "FAIL")
        return decision

    def renew(self, lease: HeldLease) -> bool:
        """Whether it is alive."""
        if lease.is_open:
            lease.expires = self.now + TERM_SECONDS
        return lease.is_open

    # Ends

    def end(self, lease: HeldLease, how: str, said: tuple[object, ...] = (), *, retry: bool = False) -> tuple[int, str]:
        """Status, and the trial's state or the problem's code."""
        if not lease.is_open:
            return self._ended(lease, how, said, retry)
        lease.said = said
        again = how == "release" or (retry and lease.attempt < self.max_attempts)
        if again and self.state != "stopped":
            return 200, self._requeue(lease, how)
        return 200, self._close(lease, how, "COMPLETE" if how == "complete" else "FAIL")

    def _ended(self, lease: HeldLease, how: str, said: tuple[object, ...], retry: bool) -> tuple[int, str]:
        if lease.outcome == "expire":
            return 409, "lease_lost"
        if lease.outcome not in SAME_CALL[how]:
            return 409, "lease_closed"
        if lease.said is None:
            lease.said = said
        if lease.said != said or (how == "fail" and lease.state == "WAITING" and not retry):
            return 409, "lease_closed"
        assert lease.state is not None, "it has ended"
        return 200, lease.state

    def _close(self, lease: HeldLease, outcome: str, state: str) -> str:
        trial = self.trial_of(lease)
        trial.state, trial.checkpoint = state, None
        lease.outcome, lease.state = outcome, state
        return state

    def _requeue(self, lease: HeldLease, outcome: str) -> str:
        trial = self.trial_of(lease)
        last = -1 if trial.checkpoint is None else trial.checkpoint
        trial.curve = {step: value for step, value in trial.curve.items() if step <= last}
        trial.n_lost_attempts += outcome != "release"
        trial.state = "WAITING"
        lease.outcome, lease.state = outcome, "WAITING"
        return "WAITING"

    # Time and the study

    def advance(self, seconds: float) -> None:
        self.now += seconds
        for lease in self.open_leases():
            if lease.expires > self.now:
                continue
            if self.state != "stopped" and lease.attempt < self.max_attempts:
                self._requeue(lease, "expire")
            else:
                self._close(lease, "expire", "FAIL")

    def stop(self) -> None:
        """What was under way ends: at its next call, or now if it waits to be tried again."""
        self.state = "stopped"
        for number in self.retries():
            self.trials[number].state, self.trials[number].checkpoint = "FAIL", None

    def restart(self) -> None:
        for lease in self.open_leases():
            self.renew(lease)

    def settle(self) -> None:
        """A running study whose trials are all done is finished."""
        n_finished = sum(trial.state in FINISHED for trial in self.trials)
        if self.state == "running" and n_finished == self.n_trials:
            self.state = "finished"

    def extend(self, n_more: int) -> None:
        self.n_trials += n_more
        if self.state == "finished":
            self.state = "running"
