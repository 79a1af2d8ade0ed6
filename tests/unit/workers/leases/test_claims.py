"""What a worker says in its claims, and what it tells of the answers."""

import httpx
import pytest

from service.client.retries import Retries
from service.schemas.study.allowance import NOTHING, Allowance
from service.schemas.worker_info import WorkerInfo
from service.schemas.worker_seconds import WorkerSeconds
from tests.unit.workers.fakes import FakeService, FakeTime
from workers.leases.claims import TELL_SECONDS, Claims
from workers.leases.study_backoff import StudyBackoff


def claims_of(service: FakeService, time: FakeTime) -> Claims:
    return Claims(service.client(), WorkerInfo(id="w"), StudyBackoff(time), WorkerSeconds, study=None, clock=time)


def test_a_claim_says_what_the_worker_allows_and_nothing_that_an_older_service_does_not_know() -> None:
    service, time = FakeService(), FakeTime()
    claims = claims_of(service, time)
    claims.claim(1, 1, 0.0, Retries(1.0), NOTHING)
    claims.claim(1, 1, 0.0, Retries(1.0), Allowance(("mine",), (("python", "my train.py"),), ("PATH",)))

    first, second = service.bodies("claims")
    assert not first.keys() & {"allow_commands", "allow_environment"}
    assert second["allow"] == ["mine"]
    assert second["allow_commands"] == ["python 'my train.py'"]
    assert second["allow_environment"] == ["PATH"]


def test_flags_that_studies_wait_for_are_told_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    service, time = FakeService(), FakeTime()
    claims = claims_of(service, time)
    answer = {"leases": [], "not_allowed": ["--allow mine", "--allow-command 'python train.py'"]}
    for seconds in (0.0, TELL_SECONDS / 2, TELL_SECONDS / 2):
        time.sleep(seconds)
        service.answers["claims"] = [httpx.Response(200, json=answer)]
        claims.claim(1, 1, 0.0, Retries(1.0))

    told = [record.message for record in caplog.records if record.name == "narrows.worker"]
    assert told == ["studies wait for a worker with --allow mine, or --allow-command 'python train.py'"] * 2
