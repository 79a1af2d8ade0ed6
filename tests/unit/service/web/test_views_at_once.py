import asyncio
import threading
from collections import Counter
from functools import partial

import pytest

from service.web.long_calls import MAX_VIEWS, PATIENT_SECONDS, LongCalls
from tests.waiting import PATIENCE_SECONDS


def test_equal_views_that_wait_together_are_computed_once() -> None:
    begun: Counter[str] = Counter()
    release = threading.Event()

    def view(name: str) -> str:
        begun[name] += 1
        assert release.wait(PATIENCE_SECONDS)
        return name

    async def run() -> list[str]:
        calls = LongCalls()
        first = [asyncio.create_task(calls.run_view(index, lambda: view("first"))) for index in range(MAX_VIEWS)]
        while begun["first"] < MAX_VIEWS:
            await asyncio.sleep(0.001)
        asked = ["same", "same", "other", "same"]
        later = [asyncio.create_task(calls.run_view(name, partial(view, name))) for name in asked]
        await asyncio.sleep(0)
        later[1].cancel()
        release.set()
        answers = await asyncio.gather(*first, *later, return_exceptions=True)
        return [answer for answer in answers if isinstance(answer, str)]

    async def in_time() -> list[str]:
        return await asyncio.wait_for(run(), PATIENCE_SECONDS)

    assert Counter(asyncio.run(in_time())) == {"first": MAX_VIEWS, "same": 2, "other": 1}
    assert begun == {"first": MAX_VIEWS, "same": 1, "other": 1}


def test_a_view_that_comes_after_one_has_begun_is_computed_anew() -> None:
    states = iter(["before", "after"])
    has_begun, release = threading.Event(), threading.Event()

    def view() -> str:
        state = next(states)
        has_begun.set()
        assert release.wait(PATIENCE_SECONDS)
        return state

    async def run() -> list[str]:
        calls = LongCalls()
        first = asyncio.create_task(calls.run_view("key", view))
        while not has_begun.is_set():
            await asyncio.sleep(0.001)
        second = asyncio.create_task(calls.run_view("key", view))
        await asyncio.sleep(0)
        release.set()
        return [await first, await second]

    assert asyncio.run(run()) == ["before", "after"]


def test_an_error_goes_to_all_that_wait_for_it() -> None:
    def view() -> None:
        raise ValueError("no")

    async def run() -> None:
        calls = LongCalls()
        answers = await asyncio.gather(*(calls.run_view("key", view) for _ in range(3)), return_exceptions=True)
        assert [str(answer) for answer in answers] == ["no"] * 3
        with pytest.raises(ValueError, match="no"):
            await calls.run_view("key", view)

    asyncio.run(run())


def test_patient_callers_wait_until_a_view_is_old_enough() -> None:
    moments: list[float] = []

    async def run() -> list[int]:
        loop, calls = asyncio.get_running_loop(), LongCalls()

        def view() -> int:
            moments.append(loop.time())
            return len(moments)

        moments.append(loop.time())
        first = await calls.run_view("key", view, is_patient=True)
        later = [asyncio.create_task(calls.run_view("key", view, is_patient=True)) for _ in range(3)]
        await asyncio.sleep(0)
        at_once = await calls.run_view("key", view)
        return [first, at_once, *await asyncio.gather(*later)]

    assert asyncio.run(run()) == [2, 3, 4, 4, 4]
    assert moments[3] - moments[0] >= PATIENT_SECONDS - 0.01  # the loop's clock is that coarse
