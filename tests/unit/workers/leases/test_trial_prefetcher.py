"""Trials are claimed ahead: as many as there is room for, and no more."""

import time
from threading import Event, Thread

import pytest

from service.client import Client, ClientError
from service.client.retries import Retries
from service.schemas.protocol import Lease
from service.schemas.worker_info import WorkerInfo
from service.schemas.worker_seconds import WorkerSeconds
from tests.unit.workers.fakes import FakeService, FakeTime, problem
from tests.waiting import PATIENCE_SECONDS, until
from workers.leases.claims import FAULT_PAUSE_SECONDS, Claims
from workers.leases.study_backoff import StudyBackoff
from workers.leases.trial_prefetcher import Kind, TrialPrefetcher
from workers.scheduling.leased_trial import LeasedTrial


@pytest.fixture
def fake() -> FakeService:
    return FakeService(100, FakeTime())


def claims(client: Client) -> Claims:
    worker = WorkerInfo(id="host/1/cpu", host="host", device="cpu")
    return Claims(client, worker, StudyBackoff(FakeTime()), WorkerSeconds, study=None)


def n_granted(fake: FakeService) -> int:
    return len(fake.bodies("claims"))


def wait_until_ready(prefetcher: TrialPrefetcher) -> LeasedTrial:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        if (trial := prefetcher.take()) is not None:
            return trial
        Event().wait(0.001)
    raise AssertionError("no trial came")


def _check_until_it_raises(prefetcher: TrialPrefetcher) -> None:
    until(prefetcher.check, "an error ends the thread")


def test_a_taken_trial_is_replaced_only_when_there_is_room(fake: FakeService) -> None:
    with fake.client() as client:
        prefetcher = TrialPrefetcher(claims(client), LeasedTrial, Retries(PATIENCE_SECONDS))
        prefetcher.want(1, Kind(1))
        wait_until_ready(prefetcher)
        Event().wait(0.05)  # the thread would have asked long ago
        assert n_granted(fake) == 1
        prefetcher.want(1, Kind(1))
        wait_until_ready(prefetcher)
        assert n_granted(fake) == 2
        assert prefetcher.close(PATIENCE_SECONDS) == []


def test_at_most_a_fair_share_is_claimed_ahead(fake: FakeService) -> None:
    with fake.client() as client:
        prefetcher = TrialPrefetcher(claims(client), LeasedTrial, Retries(PATIENCE_SECONDS))
        prefetcher.want(2, Kind(4))
        wait_until_ready(prefetcher)
        prefetcher.close(PATIENCE_SECONDS)
    claim = fake.bodies("claims")[0]
    assert claim["fair"] is True
    assert (claim["max_trials"], claim["worker"]["n_lanes"]) == (2, 4)


def test_a_lease_is_turned_into_a_trial_by_receive(fake: FakeService) -> None:
    seen: list[str] = []

    def receive(lease: Lease) -> LeasedTrial:
        seen.append(lease.lease_id)
        return LeasedTrial(lease)

    with fake.client() as client:
        prefetcher = TrialPrefetcher(claims(client), receive, Retries(PATIENCE_SECONDS))
        prefetcher.want(1, Kind(1))
        assert [wait_until_ready(prefetcher).lease_id] == seen
        prefetcher.close(PATIENCE_SECONDS)


def test_a_wait_for_a_claim_ends_with_it(fake: FakeService) -> None:
    begun, answered = Event(), Event()

    def receive(lease: Lease) -> LeasedTrial:
        begun.set()
        assert answered.wait(PATIENCE_SECONDS)
        return LeasedTrial(lease)

    with fake.client() as client:
        prefetcher = TrialPrefetcher(claims(client), receive, Retries(PATIENCE_SECONDS))
        prefetcher.want(1, Kind(1))
        assert begun.wait(PATIENCE_SECONDS)
        prefetcher.wait_for_claim(0.01)
        assert prefetcher.take() is None
        waiting = Thread(target=prefetcher.wait_for_claim, args=(PATIENCE_SECONDS,))
        waiting.start()
        answered.set()
        waiting.join(PATIENCE_SECONDS / 2)
        assert not waiting.is_alive()
        assert prefetcher.take() is not None
        prefetcher.close(PATIENCE_SECONDS)


def test_the_worker_continues_when_a_study_is_deleted_while_its_trials_train(fake: FakeService) -> None:
    fake.answers["claims"] = [problem(404, "study_not_found")]
    with fake.client() as client:
        prefetcher = TrialPrefetcher(claims(client), LeasedTrial, Retries(PATIENCE_SECONDS))
        prefetcher.want(1, Kind(2, study="gone"))
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not prefetcher.found_nothing:
            assert time.monotonic() < deadline
            Event().wait(0.001)
        prefetcher.check()
        prefetcher.want(1, Kind(2))
        wait_until_ready(prefetcher)
        prefetcher.close(PATIENCE_SECONDS)
    gone, other = fake.bodies("claims")
    assert (gone["study"], other["study"]) == ("gone", None)
    assert gone["claim_id"] != other["claim_id"]


def test_the_worker_stops_claiming_when_the_study_it_was_started_for_is_missing(fake: FakeService) -> None:
    fake.answers["claims"] = [problem(404, "study_not_found")]
    with fake.client() as client:
        prefetcher = TrialPrefetcher(claims(client), LeasedTrial, Retries(PATIENCE_SECONDS))
        prefetcher.want(1, Kind(1))
        with pytest.raises(ClientError, match="study_not_found"):
            _check_until_it_raises(prefetcher)
        prefetcher.close(PATIENCE_SECONDS)


def test_an_unexpected_error_of_the_thread_is_raised_where_it_is_asked_for(fake: FakeService) -> None:
    def receive(_lease: Lease) -> LeasedTrial:
        raise KeyError("lost")

    with fake.client() as client:
        prefetcher = TrialPrefetcher(claims(client), receive, Retries(PATIENCE_SECONDS))
        prefetcher.want(1, Kind(1))
        with pytest.raises(KeyError, match="lost"):
            _check_until_it_raises(prefetcher)
        assert prefetcher.pause()
        prefetcher.close(PATIENCE_SECONDS)


def test_the_prefetcher_goes_on_after_an_internal_error_of_the_service(fake: FakeService) -> None:
    fake.answers["claims"] = [problem(500, "internal")]
    now = FakeTime()
    with fake.client() as client:
        prefetcher = TrialPrefetcher(claims(client), LeasedTrial, Retries(PATIENCE_SECONDS), now)
        prefetcher.want(1, Kind(1))
        until(lambda: prefetcher.found_nothing, "the claim was answered")
        prefetcher.check()
        now.now += FAULT_PAUSE_SECONDS
        prefetcher.want(2, Kind(1))
        wait_until_ready(prefetcher)
        prefetcher.close(PATIENCE_SECONDS)
    first, second = fake.bodies("claims")
    assert first["claim_id"] != second["claim_id"]
