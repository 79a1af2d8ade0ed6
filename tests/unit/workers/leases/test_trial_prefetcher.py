"""Trials that are claimed ahead: as many as there is room for, and no more."""

import time
from threading import Event

import pytest

from service.client import Client, ClientError
from service.client.retries import Retries
from service.schemas.protocol import Lease, WorkerInfo
from tests.unit.workers.fakes import FakeService, FakeTime, problem
from workers.leases.claims import Claims
from workers.leases.trial_prefetcher import TrialPrefetcher
from workers.scheduling.leased_trial import LeasedTrial

PATIENCE_SECONDS = 10.0


@pytest.fixture
def fake() -> FakeService:
    return FakeService(100, FakeTime())


def claims(client: Client) -> Claims:
    return Claims(client, WorkerInfo(id="host/1/cpu", host="host", device="cpu"), study=None)


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
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        prefetcher.check()
        Event().wait(0.001)


def test_a_trial_that_is_taken_is_not_replaced_until_there_is_room_again(fake: FakeService) -> None:
    with fake.client() as client:
        prefetcher = TrialPrefetcher(claims(client), LeasedTrial, Retries(PATIENCE_SECONDS))
        prefetcher.want(1, 1)
        wait_until_ready(prefetcher)
        Event().wait(0.05)  # the thread would have asked long ago
        assert n_granted(fake) == 1
        prefetcher.want(1, 1)
        wait_until_ready(prefetcher)
        assert n_granted(fake) == 2
        assert prefetcher.close(PATIENCE_SECONDS) == []


def test_what_is_claimed_ahead_is_no_more_than_a_fair_part(fake: FakeService) -> None:
    with fake.client() as client:
        prefetcher = TrialPrefetcher(claims(client), LeasedTrial, Retries(PATIENCE_SECONDS))
        prefetcher.want(2, 4)
        wait_until_ready(prefetcher)
        prefetcher.close(PATIENCE_SECONDS)
    claim = fake.bodies("claims")[0]
    assert claim["fair"] is True
    assert (claim["max_trials"], claim["worker"]["n_lanes"]) == (2, 4)


def test_a_lease_is_made_a_trial_by_who_asked(fake: FakeService) -> None:
    seen: list[str] = []

    def receive(lease: Lease) -> LeasedTrial:
        seen.append(lease.lease_id)
        return LeasedTrial(lease)

    with fake.client() as client:
        prefetcher = TrialPrefetcher(claims(client), receive, Retries(PATIENCE_SECONDS))
        prefetcher.want(1, 1)
        assert [wait_until_ready(prefetcher).lease_id] == seen
        prefetcher.close(PATIENCE_SECONDS)


def test_a_study_that_has_gone_while_its_trials_train_is_no_reason_to_end(fake: FakeService) -> None:
    fake.answers["claims"] = [problem(404, "study_not_found")]
    with fake.client() as client:
        prefetcher = TrialPrefetcher(claims(client), LeasedTrial, Retries(PATIENCE_SECONDS))
        prefetcher.want(1, 2, study="gone")
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not prefetcher.found_nothing:
            assert time.monotonic() < deadline
            Event().wait(0.001)
        prefetcher.check()
        prefetcher.want(1, 2)
        wait_until_ready(prefetcher)
        prefetcher.close(PATIENCE_SECONDS)
    gone, other = fake.bodies("claims")
    assert (gone["study"], other["study"]) == ("gone", None)
    assert gone["claim_id"] != other["claim_id"]


def test_a_study_that_the_worker_was_started_for_and_that_is_not_there_ends_the_asking(fake: FakeService) -> None:
    fake.answers["claims"] = [problem(404, "study_not_found")]
    with fake.client() as client:
        prefetcher = TrialPrefetcher(claims(client), LeasedTrial, Retries(PATIENCE_SECONDS))
        prefetcher.want(1, 1)
        with pytest.raises(ClientError, match="study_not_found"):
            _check_until_it_raises(prefetcher)
        prefetcher.close(PATIENCE_SECONDS)
