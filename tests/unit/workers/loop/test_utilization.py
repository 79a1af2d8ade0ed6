import pytest

from tests.unit.workers.fakes import FakeTime
from workers.loop.utilization import Utilization


@pytest.fixture
def time() -> FakeTime:
    return FakeTime()


def test_every_second_since_the_start_belongs_to_one_activity(time: FakeTime) -> None:
    began = time.now
    time.sleep(2.0)
    utilization = Utilization(time, began)
    time.sleep(0.5)
    for activity, seconds in (("claims", 1.0), ("data", 3.0), ("training", 20.0), ("reports", 0.5), ("idle", 5.0)):
        utilization.switch(activity)  # type: ignore[arg-type]
        time.sleep(seconds)
    utilization.switch("checkpoints")
    time.sleep(3.0)
    assert sum(utilization.seconds().values()) == time.now - began
    utilization.note_lanes(20.0, 3, 1)
    assert str(utilization) == (
        "20.00 s training, 10.00 s besides (33.3% of both: start 2.50, claims 1.00, data 3.00, reports 0.50, "
        "checkpoints 3.00, other 0.00), 5.0 s idle, 25.0% of lanes empty"
    )


def test_the_first_training_is_known_by_its_time_since_the_start(time: FakeTime) -> None:
    began = time.now
    time.sleep(2.0)
    utilization = Utilization(time, began)
    utilization.switch("data")
    assert utilization.training_after is None
    time.sleep(0.5)
    for activity in ("training", "reports", "training"):
        utilization.switch(activity)
        assert utilization.training_after == 2.5
        time.sleep(1.0)


def test_each_second_besides_training_is_taken_once(time: FakeTime) -> None:
    utilization = Utilization(time)
    time.sleep(2.0)
    utilization.switch("training")
    time.sleep(10.0)
    assert utilization.take_overhead() == 2.0
    utilization.switch("reports")
    time.sleep(1.0)
    assert utilization.take_overhead() == 1.0
    assert utilization.take_overhead() == 0.0
