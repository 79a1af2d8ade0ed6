"""Sinks get everything in order, and whatever a sink does never delays a trial."""

import logging
import threading
from collections.abc import Callable, Iterator
from itertools import islice

import pytest

from tests.unit.workers.fakes import FakeTime, lease
from tests.waiting import PATIENCE_SECONDS
from workers.sinks import metric_fanout as feeds
from workers.sinks.metric_fanout import LeaseEnded, MetricFanout, MetricsReported, SinkThread


class Kept:
    """A sink that records what it is given. `on_write` may raise or wait."""

    name = "Kept"

    def __init__(self) -> None:
        self.events: list[MetricsReported | LeaseEnded] = []
        self.on_write: Callable[[], None] = lambda: None
        self.closed = False

    def write(self, event: MetricsReported | LeaseEnded) -> None:
        self.on_write()
        self.events.append(event)

    def close(self) -> None:
        self.closed = True

    def steps(self) -> list[int]:
        return [event.step for event in self.events if isinstance(event, MetricsReported)]


def fail() -> None:
    raise OSError(28, "No space left on device\nsecond line")


def test_sinks_get_a_trial_from_its_first_report_to_its_end() -> None:
    sink = Kept()
    fanout = MetricFanout([sink])
    fanout.follow(lease())
    fanout.report("lease-0", 0, {"loss": 2.0})
    fanout.add_param("lease-0", "depth", 3)
    fanout.report("lease-0", 1, {"loss": 1.0})
    fanout.end_lease("lease-0", "COMPLETE", {"loss": 0.5})
    fanout.end_lease("lease-0")
    fanout.close()

    first, second, end = sink.events
    assert isinstance(first, MetricsReported)
    assert (first.step, first.params, first.metrics) == (0, {"learning_rate": 0.01}, {"loss": 2.0})
    assert second.params == {"learning_rate": 0.01, "depth": 3}
    assert isinstance(end, LeaseEnded)
    assert (end.state, end.metrics, end.params["depth"]) == ("COMPLETE", {"loss": 0.5}, 3)
    assert sink.closed


def test_a_trial_that_is_pruned_ends_with_its_last_report() -> None:
    sink = Kept()
    fanout = MetricFanout([sink])
    fanout.follow(lease())
    fanout.report("lease-0", 0, {"loss": 2.0})
    fanout.end_lease("lease-0", "PRUNED")
    fanout.close()
    assert sink.events[-1].metrics == {"loss": 2.0}


def test_sinks_get_nothing_of_trials_that_are_not_followed() -> None:
    sink = Kept()
    fanout = MetricFanout([sink])
    fanout.report("lease-9", 0, {"loss": 2.0})
    fanout.add_param("lease-9", "x", 1)
    fanout.end_lease("lease-9", "FAIL")
    fanout.close()
    assert sink.events == []


def test_a_sink_that_fails_says_so_in_one_line_and_is_tried_again_later(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    sink, other, time = Kept(), Kept(), FakeTime()
    fanout = MetricFanout([sink, other], time)
    fanout.follow(lease())
    sink.on_write = fail
    for step in range(3):
        fanout.report("lease-0", step, {"loss": 1.0})
    wait_until_idle(fanout)  # or the sink would look at the clock after it has gone on
    time.now += feeds.PAUSE_SECONDS - 0.1
    fanout.report("lease-0", 3, {"loss": 1.0})
    wait_until_idle(fanout)
    assert other.steps() == [0, 1, 2, 3]
    assert [record.message for record in caplog.records] == [
        "Kept is not written to, trials go on without it: OSError: [Errno 28] No space left on device second line"
    ]
    sink.on_write = lambda: None
    time.now += 0.2
    fanout.report("lease-0", 4, {"loss": 1.0})
    wait_until_idle(fanout)
    fanout.close()
    assert sink.steps() == [4]
    assert other.steps() == [0, 1, 2, 3, 4]
    assert caplog.records[-1].message == "Kept is written to again; it lacks 4 reports"
    assert len(caplog.records) == 2


def wait_until_idle(fanout: MetricFanout) -> None:
    for outlet in fanout._sink_threads:
        outlet.wait_until_idle()


@pytest.fixture
def hanging(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Kept, SinkThread, threading.Event]]:
    """Return a sink that hangs until the event is set, after a hundred reports and the end of its feed."""
    monkeypatch.setattr(feeds, "MAX_QUEUED", 5)
    monkeypatch.setattr(feeds, "CLOSING_SECONDS", 0.0)
    sink, go_on = Kept(), threading.Event()
    sink.on_write = lambda: None if go_on.wait(PATIENCE_SECONDS) else fail()
    fanout = MetricFanout([sink])
    fanout.follow(lease())
    for step in range(100):
        fanout.report("lease-0", step, {"loss": 1.0})
    fanout.close()
    (outlet,) = fanout._sink_threads
    yield sink, outlet, go_on
    go_on.set()
    outlet.join(PATIENCE_SECONDS)


@pytest.mark.usefixtures("hanging")
def test_a_sink_that_hangs_delays_neither_training_nor_other_sinks(caplog: pytest.LogCaptureFixture) -> None:
    assert [record.message for record in caplog.get_records("setup")] == [
        "Kept is not written to, trials go on without it: 5 reports wait for it"
    ]


def test_a_sink_that_has_fallen_behind_is_closed_too(hanging: tuple[Kept, SinkThread, threading.Event]) -> None:
    sink, outlet, go_on = hanging
    go_on.set()
    outlet.join(PATIENCE_SECONDS)
    assert sink.closed
    assert len(sink.steps()) in (4, 5)  # whether the first one was in hand already when the queue was full


def test_a_report_that_takes_the_room_made_for_the_end_does_not_keep_it_out(
    hanging: tuple[Kept, SinkThread, threading.Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    sink, outlet, go_on = hanging
    make_room, refills = outlet._events.get_nowait, iter(range(3))

    def refilled() -> MetricsReported | LeaseEnded | None:
        event = make_room()
        for _ in islice(refills, 1):
            outlet._events.put_nowait(MetricsReported(lease(), {}, 100, {"loss": 1.0}))
        return event

    monkeypatch.setattr(outlet._events, "get_nowait", refilled)
    outlet.tell(None)
    go_on.set()
    outlet.join(PATIENCE_SECONDS)
    assert sink.closed


def test_a_sink_that_cannot_close_is_no_error() -> None:
    sink = Kept()
    sink.close = fail  # type: ignore[method-assign]
    MetricFanout([sink]).close()
