import asyncio
import threading
import time

from service.events.work_signal import WorkSignal
from tests.waiting import PATIENCE_SECONDS


async def waited(signal: WorkSignal, ticket: int, timeout_seconds: float) -> float:
    started = time.monotonic()
    await signal.wait(ticket, timeout_seconds)
    return time.monotonic() - started


def test_waiting_ends_after_its_time() -> None:
    signal = WorkSignal()

    assert 0.04 < asyncio.run(waited(signal, signal.ticket(), 0.05)) < PATIENCE_SECONDS


def test_what_came_after_the_ticket_is_not_missed() -> None:
    signal = WorkSignal()
    ticket = signal.ticket()
    signal.notify()

    assert asyncio.run(waited(signal, ticket, PATIENCE_SECONDS)) < PATIENCE_SECONDS


def test_what_came_before_the_ticket_wakes_nobody() -> None:
    signal = WorkSignal()
    signal.notify()

    assert asyncio.run(waited(signal, signal.ticket(), 0.05)) > 0.04


def test_all_that_wait_are_woken_from_another_thread() -> None:
    signal = WorkSignal()

    async def many() -> list[float]:
        tasks = [asyncio.create_task(waited(signal, signal.ticket(), PATIENCE_SECONDS)) for _ in range(5)]
        await asyncio.sleep(0)  # all of them wait now
        threading.Thread(target=signal.notify).start()
        return list(await asyncio.gather(*tasks))

    assert max(asyncio.run(many())) < PATIENCE_SECONDS


def test_a_closed_signal_makes_nobody_wait() -> None:
    signal = WorkSignal()
    signal.close()

    assert signal.closed
    assert asyncio.run(waited(signal, signal.ticket(), PATIENCE_SECONDS)) < PATIENCE_SECONDS


def test_a_notice_after_the_loop_has_ended_is_no_error() -> None:
    signal = WorkSignal()
    asyncio.run(waited(signal, signal.ticket(), 0.01))

    signal.notify()
