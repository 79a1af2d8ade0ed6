import threading
from collections.abc import Iterator
from functools import partial

import httpx
import pytest

from service.client.retries import Retries
from tests.unit.workers.fakes import FakeService, lease, problem
from tests.waiting import PATIENCE_SECONDS, until
from workers.fleet.stopping import Stopping
from workers.lanes.lane_state import LaneState
from workers.leases.checkpoint_keeper import CheckpointKeeper
from workers.leases.errands import Errands
from workers.leases.model_uploader import ModelUploader
from workers.leases.outcome_client import OutcomeClient
from workers.leases.reporter import Reporter
from workers.leases.study_facts import StudyFactsCache
from workers.leases.trial_finisher import TrialFinisher
from workers.scheduling.leased_trial import LeasedTrial


class Place:
    """A trial finisher with its collaborators."""

    def __init__(self) -> None:
        self.service, self.errands, stopping = FakeService(), Errands(), Stopping()
        client, retries = self.service.client(), Retries(1.0)
        self.reporter = Reporter(client, retries)
        checkpoints, outcomes = CheckpointKeeper(client, self.reporter), OutcomeClient(client, stopping)
        model_uploader = ModelUploader(client, StudyFactsCache(client, retries), "best", retries)
        self.finisher = TrialFinisher(self.reporter, outcomes, model_uploader, checkpoints, self.errands, stopping)

    def close(self) -> None:
        self.errands.close()
        self.reporter.close()


@pytest.fixture
def place() -> Iterator[Place]:
    place = Place()
    yield place
    place.close()


def test_a_checkpoint_that_waits_while_its_trial_is_pruned_is_not_uploaded_and_harms_nothing(place: Place) -> None:
    service, reporter, finisher, errands = place.service, place.reporter, place.finisher, place.errands
    service.decide = lambda _lease_id, _step: "prune"
    turn, trial = threading.Event(), LeasedTrial(lease(), LaneState({}, {"epoch": 1}))

    reporter.follow(trial.lease)
    errands.submit(partial(_wait, turn))
    finisher.upload_checkpoint(trial)
    reporter.report(trial.lease_id, 0, {"train_loss": 0.5})
    until(lambda: reporter.decision(trial.lease_id) == "prune")
    finisher.note_closed(trial.lease)
    turn.set()

    assert errands.finish(PATIENCE_SECONDS)
    errands.check()
    assert [path for path in service.paths() if path.startswith("artifacts/")] == []
    assert not reporter.has_closed


@pytest.mark.parametrize(
    ("answer", "end"), [(None, "pause"), (problem(500, "broken"), "release"), (problem(413, "too_large"), "pause")]
)
def test_a_trial_pauses_with_an_uploaded_or_too_large_checkpoint_and_is_released_otherwise(
    place: Place, answer: httpx.Response | None, end: str
) -> None:
    place.service.answers["artifacts/lease-0/checkpoint"] = [] if answer is None else [answer]
    trial = LeasedTrial(lease(), LaneState({}, {"epoch": 1}))
    place.reporter.follow(trial.lease)
    place.finisher.upload_and_pause(trial)

    assert place.errands.finish(PATIENCE_SECONDS)
    place.errands.check()
    assert place.service.paths() == ["artifacts/lease-0/checkpoint", f"leases/lease-0/{end}"]


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (problem(404, "study_not_found"), "lost: its study was deleted"),
        (problem(503, "away"), "lost to another worker"),
    ],
)
def test_a_lost_trial_is_told_with_its_reason(
    place: Place, caplog: pytest.LogCaptureFixture, answer: httpx.Response, told: str
) -> None:
    trial = LeasedTrial(lease())
    place.service.answers[f"studies/{trial.lease.study}"] = [answer]
    place.service.decide = lambda _lease_id, _step: "lost"
    place.reporter.follow(trial.lease)
    place.reporter.report(trial.lease_id, 0, {"train_loss": 0.5})
    until(lambda: place.reporter.decision(trial.lease_id) == "lost")
    place.finisher.note_closed(trial.lease)
    assert place.errands.finish(PATIENCE_SECONDS)
    place.errands.check()
    assert caplog.messages[-1] == f"{trial.title}: {told}"
    assert not place.reporter.has_closed


def _wait(turn: threading.Event) -> None:
    assert turn.wait(PATIENCE_SECONDS)
