"""Which waiting claims are woken. A pool of trials stands in for a study, so that any interleaving can be tried."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.registry.waiting_claims import WaitingClaim, WaitingClaims, Wish
from service.schemas.protocol import Claim
from service.schemas.study.allowance import Allowance, Needs
from service.study.study_lock import StudyLock
from tests.work import n_calls


class Pool:
    """A number of trials, of which each look takes one."""

    def __init__(self, name: str, entrypoint: str | None = None) -> None:
        self.lock = StudyLock()
        self.claimed_as: Sequence[str] = (name,)
        self.needs = Needs(() if entrypoint is None else (entrypoint,))
        self.n = 0

    def n_startable(self) -> int:
        return self.n


def claim_for(study: str | None = None, allow: Sequence[str] = ()) -> Claim:
    worker = {"id": "worker"}
    return Claim.model_validate({"claim_id": "a", "worker": worker, "study": study, "allow": list(allow)})


class Crowd:
    """Claims that wait for one of some pools. A look takes its time: others go on between its begin and its end."""

    def __init__(self, pools: Sequence[Pool]) -> None:
        self.claims = WaitingClaims()
        self.pools = pools
        self.served: list[int] = []
        self.tasks: dict[int, asyncio.Task[None]] = {}

    def arrive(self, name: str | None = None) -> None:
        number = len(self.tasks)
        self.tasks[number] = asyncio.create_task(self._wait(number, name))

    async def _wait(self, number: int, name: str | None) -> None:
        with self.claims.entered(claim_for(name)) as waiting:
            while not await self._look(waiting, name):
                await waiting.wait(3600)
        self.served.append(number)

    async def _look(self, waiting: WaitingClaim, name: str | None) -> bool:
        self.claims.begin_look(waiting)
        await asyncio.sleep(0)
        for pool in self.pools:
            if name in (None, *pool.claimed_as) and pool.n > 0:
                pool.n -= 1
                return True
        await asyncio.sleep(0)
        self.claims.hand_on(waiting)
        return False

    def add(self, pool: Pool, n: int) -> None:
        pool.n += n
        self.claims.wake(pool)

    async def settle(self) -> None:
        """Let every task go on as far as it can."""
        for _ in range(20 + 20 * len(self.tasks)):
            await asyncio.sleep(0)

    async def leave(self) -> None:
        for task in self.tasks.values():
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    @property
    def n_waiting(self) -> int:
        return sum(not task.done() for task in self.tasks.values())


EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("arrive"), st.sampled_from([None, "a", "b"])),
        st.tuples(st.just("add a"), st.integers(1, 3)),
        st.tuples(st.just("add b"), st.integers(1, 3)),
        st.tuples(st.just("leave"), st.integers(0, 30)),
        st.tuples(st.just("go on"), st.integers(1, 3)),
        st.tuples(st.just("work on a"), st.none()),
    ),
    max_size=40,
)


@given(events=EVENTS)
@settings(deadline=None, max_examples=300)
def test_no_trial_is_left_while_a_claim_waits_for_it(events: list[tuple[str, object]]) -> None:
    """Claims arrive, look and go away, and trials appear, in any order and at any moment of a look."""

    async def run() -> None:
        pools = [Pool("a"), Pool("b")]
        crowd = Crowd(pools)
        other_thread = ThreadPoolExecutor(1)
        wishes: list[object] = []
        for kind, value in events:
            if kind == "arrive":
                wishes.append(value)
                crowd.arrive(None if value is None else str(value))
            elif kind.startswith("add"):
                crowd.add(pools[kind == "add b"], int(str(value)))
            elif kind == "leave" and value in crowd.tasks:
                crowd.tasks[int(str(value))].cancel()
            elif kind == "go on":
                for _ in range(int(str(value))):
                    await asyncio.sleep(0)
            elif kind == "work on a":  # as another thread does: nobody learns how many trials there are
                await asyncio.wrap_future(other_thread.submit(pools[0].lock.acquire))
        await crowd.settle()
        waiting = [wishes[number] for number, task in crowd.tasks.items() if not task.done()]
        await crowd.leave()
        other_thread.shutdown()
        for pool in pools:
            assert pool.n == 0 or not {None, *pool.claimed_as} & set(waiting)

    asyncio.run(run())


def test_as_many_claims_look_as_trials_appear() -> None:
    async def run() -> None:
        pool = Pool("a")
        crowd = Crowd([pool])
        for _ in range(50):
            crowd.arrive()
        await crowd.settle()
        looks = crowd.claims.n_looks

        crowd.claims.wake(pool)
        await crowd.settle()
        assert crowd.claims.n_looks == looks == 50, "there is nothing to look for"
        crowd.add(pool, 3)
        await crowd.settle()

        assert crowd.claims.n_looks == looks + 3
        assert crowd.served == [0, 1, 2], "those that have waited longest"
        await crowd.leave()

    asyncio.run(run())


def test_a_claim_that_gets_nothing_hands_its_wake_up_on_once() -> None:
    async def run() -> None:
        pool = Pool("a")
        crowd = Crowd([])
        for _ in range(5):
            crowd.arrive()
        await crowd.settle()

        crowd.add(pool, 1)  # of which nobody may have any
        await crowd.settle()

        assert crowd.claims.n_looks == 5 + 5
        await crowd.leave()

    asyncio.run(run())


@pytest.mark.parametrize("n_trials", [1, 1_000_000])
def test_looks_in_vain_take_as_much_work_each_however_many_claims_wait(n_trials: int) -> None:
    """Each wakes the next one, or all are woken at once and none of them gets a trial."""

    async def look_in_vain(n_claims: int) -> None:
        pool = Pool("a")
        crowd = Crowd([])
        for _ in range(n_claims):
            crowd.arrive()
        await asyncio.sleep(0)
        crowd.add(pool, n_trials)
        while crowd.claims.n_looks < 2 * n_claims:
            await asyncio.sleep(0)
        await crowd.leave()

    few, many = (n_calls(partial(asyncio.run, look_in_vain(n_claims))) for n_claims in (50, 400))
    assert many < 10 * few


def test_claims_are_woken_in_turn_for_what_time_changes() -> None:
    async def run() -> None:
        pool = Pool("a")
        pool.n = 1
        claims = WaitingClaims()
        with claims.entered(claim_for()) as first, claims.entered(claim_for()) as second:
            order = []
            for _ in range(4):
                claims.wake_one(pool)
                (woken,) = [one for one in (first, second) if await is_woken(one)]
                claims.begin_look(woken)
                order.append(woken)
        assert order == [first, second, first, second]

    asyncio.run(run())


async def is_woken(waiting: WaitingClaim) -> bool:
    """Whether its next wait ends at once. Then that wait is over."""
    await asyncio.sleep(0)
    is_set = waiting._woken.is_set()
    waiting._woken.clear()
    return is_set


@pytest.mark.parametrize(
    ("wish", "is_woken_for"),
    [
        (Wish(None, (), Allowance(("mypkg",))), True),
        (Wish(None, (), Allowance(())), False),
        (Wish(None, (), Allowance(("other",))), False),
        (Wish("a", (), Allowance(("mypkg",))), True),
        (Wish("search", (), Allowance(("mypkg",))), True),
        (Wish("b", (), Allowance(("mypkg",))), False),
        (Wish(None, ("a",), Allowance(("mypkg",))), False),
    ],
)
def test_a_wish_names_studies_and_entrypoints(wish: Wish, is_woken_for: bool) -> None:
    assert wish.fits(("a", "search"), Needs(("mypkg:train",))) is is_woken_for


def test_all_wait_no_longer_once_the_service_shuts_down() -> None:
    async def run() -> None:
        claims = WaitingClaims()
        with claims.entered(claim_for()) as waiting:
            claims.close()
            await waiting.wait(3600)
        assert claims.closed

    asyncio.run(run())
