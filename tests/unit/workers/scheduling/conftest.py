import pytest

from tests.unit.workers.scheduling.scheduler_harness import CPU, Trouble, prepared, untested
from workers.data.trial_data import TrialData
from workers.scheduling.lane_choice import LaneChoice
from workers.scheduling.lane_scheduler import LaneScheduler
from workers.scheduling.lane_times import LaneTimes


@pytest.fixture
def trouble() -> Trouble:
    return Trouble()


@pytest.fixture
def scheduler(trial_data: TrialData, trouble: Trouble) -> LaneScheduler:
    return LaneScheduler(prepared(trial_data), CPU, LaneChoice(4, LaneTimes(CPU)), untested, trouble.new_group)
