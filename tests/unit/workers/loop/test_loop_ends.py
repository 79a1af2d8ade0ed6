import signal
from typing import Any

import httpx
import pytest

from service.client import ServiceError, UnreachableError
from tests.unit.workers.fakes import lease_json, problem
from tests.unit.workers.loop.loop_driver import Worker
from workers.leases.claims import FAULT_PAUSE_SECONDS
from workers.scheduling.leased_trial import LeasedTrial


def test_a_stopped_worker_checkpoints_and_releases_its_trials() -> None:
    worker = Worker(n_trials=3, n_lanes=2)
    worker.trainer.n_epochs = 1_000_000

    def stop_after_an_epoch(trial: LeasedTrial) -> None:
        if trial.last_step >= 0 and len(worker.trainer.trials) == 2 and not worker.stopping.is_set():
            worker.stopping.request()

    worker.trainer.on_step = stop_after_an_epoch
    worker.run()
    assert worker.ended() == ["leases/lease-0/release", "leases/lease-1/release"]
    assert worker.trainer.kept == ["lease-0", "lease-1"]


def test_a_worker_stopped_while_it_loads_data_releases_the_trial_at_once() -> None:
    worker = Worker()

    def begin(_work: LeasedTrial) -> None:
        signal.raise_signal(signal.SIGTERM)
        raise AssertionError("goes on")

    worker.trainer.on_start = begin
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)}
    worker.stopping.install()
    try:
        worker.run()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    assert worker.ended() == ["leases/lease-0/release"]


def test_a_worker_stopped_while_idle_releases_what_its_last_claim_was_granted() -> None:
    worker = Worker(n_trials=0)
    grant = worker.service._answer

    def interrupted(path: str, body: Any) -> Any:
        if path == "claims" and body["wait_seconds"] > 0:
            worker.service.waiting = [lease_json(0)]
            worker.stopping.request()
        return grant(path, body)

    worker.service._answer = interrupted  # type: ignore[method-assign]
    worker.run(exit_when_idle_seconds=60.0)
    claims = worker.service.bodies("claims")
    assert [claim["wait_seconds"] for claim in claims] == [0.0, 20.0, 0.0]
    assert claims[1]["claim_id"] == claims[2]["claim_id"]
    assert worker.ended() == ["leases/lease-0/release"]


def test_a_claim_is_repeated_with_its_id_while_the_service_is_away() -> None:
    worker = Worker()
    worker.service.answers["claims"] = [httpx.ConnectError("refused"), problem(503, "unavailable")]
    worker.run(exit_when_idle_seconds=60.0)
    claims = worker.service.bodies("claims")
    assert len({claim["claim_id"] for claim in claims[:3]}) == 1
    assert worker.outcomes()[0][0] == "leases/lease-0/complete"


def test_a_service_that_stays_away_is_an_error_when_idling_ends() -> None:
    worker = Worker(n_trials=0)
    worker.service.answers["claims"] = [httpx.ConnectError("refused")]
    with pytest.raises(UnreachableError):
        worker.run()


def test_a_service_that_refuses_the_worker_is_an_error() -> None:
    worker = Worker()
    worker.service.answers["claims"] = [problem(401, "unauthorized")]
    with pytest.raises(ServiceError):
        worker.run()


def test_an_internal_error_of_the_service_does_not_end_the_worker() -> None:
    worker = Worker()
    worker.service.answers["claims"] = [problem(500, "internal"), problem(500, "internal")]
    worker.run(exit_when_idle_seconds=600.0)
    assert worker.stopping.waited[:2] == [FAULT_PAUSE_SECONDS, FAULT_PAUSE_SECONDS]
    assert worker.outcomes()[0][0] == "leases/lease-0/complete"


def test_a_trial_whose_reports_are_not_answered_for_an_hour_is_given_up(caplog: pytest.LogCaptureFixture) -> None:
    worker = Worker()
    answer = worker.service._answer

    def away(path: str, body: Any) -> Any:
        if path == "reports":
            worker.time.sleep(3600.0)
            raise httpx.ConnectError("refused")
        return answer(path, body)

    worker.service._answer = away  # type: ignore[method-assign]
    worker.service.answers["leases/lease-0/release"] = [problem(409, "lease_lost")]
    worker.run()
    assert worker.ended() == ["leases/lease-0/release"]
    assert "digits #0: lost: no: lease_lost" in caplog.messages
