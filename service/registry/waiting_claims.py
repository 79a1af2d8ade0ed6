"""The claims that wait for work, and which of them are woken when trials of a study can start."""

import asyncio
import itertools
import threading
from collections import OrderedDict
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from heapq import heapify, heappop, heapreplace
from typing import NamedTuple, Protocol

from service.schemas.protocol import Claim
from service.schemas.study.allowance import Allowance, Needs
from service.study.study_lock import StudyLock


class Source(Protocol):
    """A study that may have trials for waiting claims."""

    @property
    def lock(self) -> StudyLock:
        """The lock under which `n_startable` is called."""

    @property
    def claimed_as(self) -> Sequence[str]:
        """Its name, and the other names under which a claim may ask for its trials."""

    @property
    def needs(self) -> Needs:
        """What a worker must allow."""

    def n_startable(self) -> int:
        """How many trials can start now."""


class Wish(NamedTuple):
    """What a claim asks for. Claims with equal wishes are compared with a study together."""

    study: str | None
    except_studies: tuple[str, ...]
    allowance: Allowance

    def fits(self, names: Sequence[str], needs: Needs) -> bool:
        """Whether trials of a study with these names (its own one first) and needs are asked for."""
        if (self.study is not None and self.study not in names) or names[0] in self.except_studies:
            return False
        return needs.are_met(self.allowance)


class WaitingClaim:
    """One claim that waits. It looks at the studies when it begins to wait, and each time it is woken."""

    def __init__(self, group: "Group") -> None:
        """`group` holds the waiting claims with the same wish."""
        self.group = group
        self.turn = 0
        """Its place in the order of the last looks of all claims."""
        self.looked_at = 0
        """Number of the newest wake-up when its last look began."""
        self.woken_for: set[Source] = set()
        """The studies for which it was woken since then."""
        self.looks_for: set[Source] = set()
        """The studies for which it was woken before its last look, and for which that look counts."""
        self._woken = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    def wake(self) -> None:
        """End the present wait, or the next one. May be called from any thread."""
        self._loop.call_soon_threadsafe(self._woken.set)

    async def wait(self, timeout_seconds: float) -> None:
        """Wait until it is woken, or until the timeout."""
        try:
            async with asyncio.timeout(timeout_seconds):
                await self._woken.wait()
        except TimeoutError:
            return
        finally:
            self._woken.clear()


class Group:
    """The waiting claims with the same wish."""

    def __init__(self) -> None:
        self.n_claims = 0
        self.unwoken: OrderedDict[WaitingClaim, None] = OrderedDict()
        """Those that were not woken since their last look, in the order in which these looks began."""


@dataclass
class WakeUps:
    """What became of the newest wake-up for a study: the claims woken by it or in the place of one of these.

    Claims that were looking when it came are not among them: they may have missed its trials.
    """

    number: int
    woken: set[WaitingClaim] = field(default_factory=set)
    looking: set[WaitingClaim] = field(default_factory=set)

    @property
    def n_claims(self) -> int:
        """How many claims will have a trial of the study or hand their wake-up on."""
        return len(self.woken) + len(self.looking)


class WaitingClaims:
    """All claims that wait.

    When trials of a study can start, as many of the claims that ask for them are woken. The claim whose last look was
    longest ago is woken first. A woken claim that gets no trial of the study, or goes away, hands its wake-up on to
    the next claim that has not looked since. So no trial is left while a claim waits for it, and claims that want
    other trials cost nothing. Waking one claim takes the same time however many wait.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._groups: dict[Wish, Group] = {}
        self._wake_ups: dict[Source, WakeUps] = {}
        """Of each study with a woken claim that has not handed on."""
        self._n_wake_ups = 0
        self._turns = itertools.count()
        self.n_looks = 0
        """How often a waiting claim has looked at the studies."""
        self.closed = False
        """Whether the service is shutting down."""

    @contextmanager
    def entered(self, claim: Claim) -> Iterator[WaitingClaim]:
        """Let a claim wait in the block. It must look after it has entered, or it could miss earlier work."""
        wish = Wish(claim.study, tuple(claim.except_studies), claim.allowance)
        with self._lock:
            group = self._groups.setdefault(wish, Group())
            group.n_claims += 1
            waiting = WaitingClaim(group)
            self._take_turn(waiting)
        try:
            yield waiting
        finally:
            with self._lock:
                group.unwoken.pop(waiting, None)
                group.n_claims -= 1
                if group.n_claims == 0:
                    del self._groups[wish]
            self._hand_on(waiting, waiting.woken_for | waiting.looks_for)

    def begin_look(self, waiting: WaitingClaim) -> None:
        """Note that a claim looks at the studies."""
        with self._lock:
            self.n_looks += 1
            self._take_turn(waiting)
            for study in waiting.woken_for:
                self._wake_ups[study].woken.remove(waiting)
                self._wake_ups[study].looking.add(waiting)
            waiting.looks_for |= waiting.woken_for
            waiting.woken_for = set()

    def _take_turn(self, waiting: WaitingClaim) -> None:
        waiting.looked_at, waiting.turn = self._n_wake_ups, next(self._turns)
        waiting.group.unwoken[waiting] = None
        waiting.group.unwoken.move_to_end(waiting)

    def hand_on(self, waiting: WaitingClaim) -> None:
        """Wake other claims in the place of one whose look was in vain."""
        self._hand_on(waiting, set(waiting.looks_for))

    def _hand_on(self, waiting: WaitingClaim, studies: Collection[Source]) -> None:
        for study in studies:
            n_trials = _n_startable(study)
            with self._lock:
                wake_ups = self._wake_ups.get(study)
                if wake_ups is None or not (waiting in wake_ups.woken or waiting in wake_ups.looking):
                    continue  # a newer wake-up has woken others
                wake_ups.woken.discard(waiting)
                wake_ups.looking.discard(waiting)
                waiting.woken_for.discard(study)
                waiting.looks_for.discard(study)
                self._wake_for(study, n_trials)

    def wake(self, study: Source) -> None:
        """Wake as many claims as trials of a study can start. May be called from any thread."""
        if not self._groups:
            return
        n_trials = _n_startable(study)
        if n_trials == 0:
            return
        with self._lock:
            self._n_wake_ups += 1
            wake_ups = self._wake_ups.setdefault(study, WakeUps(self._n_wake_ups))
            wake_ups.number = self._n_wake_ups
            for waiting in wake_ups.looking:
                waiting.looks_for.remove(study)
            wake_ups.looking.clear()
            self._wake_for(study, n_trials)

    def _wake_for(self, study: Source, n_trials: int) -> None:
        """Wake claims until as many as there are trials will have looked since the study's newest wake-up."""
        wake_ups = self._wake_ups[study]
        for waiting in self._unwoken(study, wake_ups.number, n_trials - wake_ups.n_claims):
            waiting.woken_for.add(study)
            wake_ups.woken.add(waiting)
            waiting.wake()
        if wake_ups.n_claims == 0:
            del self._wake_ups[study]

    def wake_one(self, study: Source) -> None:
        """Wake the claim that has not looked for longest, if trials of a study can start.

        Called from time to time, for what time alone changes, such as the share of a worker that went away.
        """
        if not self._groups or _n_startable(study) == 0:
            return
        with self._lock:
            self._n_wake_ups += 1  # so that the claims take turns
            for waiting in self._unwoken(study, self._n_wake_ups, 1):
                waiting.wake()

    def _unwoken(self, study: Source, number: int, n: int) -> Iterator[WaitingClaim]:
        """Take up to `n` unwoken claims that ask for a study and have not looked since a wake-up, in turn."""
        names, needs = study.claimed_as, study.needs
        groups = [group for wish, group in self._groups.items() if group.unwoken and wish.fits(names, needs)]
        firsts = [(next(iter(group.unwoken)).turn, index) for index, group in enumerate(groups)]
        heapify(firsts)
        for _ in range(n):
            if not firsts:
                return
            unwoken = groups[firsts[0][1]].unwoken
            waiting = next(iter(unwoken))
            if waiting.looked_at >= number:
                return
            del unwoken[waiting]
            yield waiting
            if unwoken:
                heapreplace(firsts, (next(iter(unwoken)).turn, firsts[0][1]))
            else:
                heappop(firsts)

    def wake_for(self, name: str) -> None:
        """Wake the claims that ask for a study by its name, because it was deleted."""
        with self._lock:
            for wish, group in self._groups.items():
                if wish.study == name:
                    for waiting in group.unwoken:
                        waiting.wake()

    def close(self) -> None:
        """End current and future waits, because the service is shutting down."""
        with self._lock:
            self.closed = True
            for group in self._groups.values():
                for waiting in group.unwoken:
                    waiting.wake()


def _n_startable(study: Source) -> int:
    """How many trials of a study can start; 1 while another thread works on it, because that may start some."""
    if not study.lock.acquire(blocking=False):
        return 1
    try:
        return study.n_startable()
    finally:
        study.lock.release()
