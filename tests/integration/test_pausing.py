"""Trials that are told to pause: who may, and what happens if they pause, end or train on."""

import pytest

from tests.integration.promotion_driver import PRUNER, create, pause
from tests.integration.service_driver import Service, code_of


def test_a_lease_that_has_paused_its_trial_can_do_nothing_to_it(service: Service) -> None:
    name = create(service)
    lease = pause(service, service.claim_one(name), 0, 0.5)

    assert service.report(lease, 1, 0.9) == "lost"
    for how, body in (
        ("complete", {"metrics": {"validation_accuracy": 1}}),
        ("fail", {"reason": "x"}),
        ("prune", None),
    ):
        assert code_of(service.http.post(f"/v1/leases/{lease['lease_id']}/{how}", json=body), 409) == "lease_closed"
    late = service.http.put(f"/v1/artifacts/{lease['lease_id']}/checkpoint?step=1", content=b"x")
    assert code_of(late, 409) == "lease_closed"
    assert service.trial(name, 0)["step"] == 0


def test_only_who_was_told_to_pause_may(service: Service) -> None:
    name = create(service)
    lease = service.claim_one(name)
    url = f"/v1/leases/{lease['lease_id']}/pause"
    assert code_of(service.http.post(url), 409) == "state_conflict"
    service.clock.advance(61.0)
    assert code_of(service.http.post(url), 409) == "lease_lost"


@pytest.mark.parametrize("step", [None, 0])
def test_without_the_rungs_checkpoint_a_trial_is_pruned(service: Service, step: int | None) -> None:
    name = create(service, pruner={**PRUNER, "min_resource": 2})
    lease = service.claim_one(name)
    assert lease["rung_steps"] == [1]
    service.report(lease, 0, 0.5)
    if step is not None:
        service.upload(lease, "checkpoint", b"too early", step)
    assert service.report(lease, 1, 0.5) == "pause"

    assert service.pause(lease) == service.pause(lease) == "PRUNED"
    assert service.artifacts(name, 0) == []


@pytest.mark.parametrize("kept", [True, False])
def test_a_worker_that_dies_while_it_pauses_costs_an_attempt_at_most(service: Service, kept: bool) -> None:
    name = create(service)
    lease = service.claim_one(name)
    assert service.report(lease, 0, 0.5) == "pause"
    if kept:
        service.upload(lease, "checkpoint", b"state", 0)
    service.clock.advance(61.0)

    following = service.claim_one(name)
    assert service.trial(name, 0)["paused_at_rung"] == (0 if kept else None)
    assert following["trial_number"] == (1 if kept else 0)
    if not kept:
        assert (following["attempt"], following["resume"]) == (2, None)
        pause(service, following, 0, 0.5)


@pytest.mark.parametrize("ends", ["expires", "fails"])
def test_a_trial_that_pauses_needs_no_attempt_to_be_left(service: Service, ends: str) -> None:
    name = create(service, n_trials=2, max_attempts=1)
    lease = service.claim_one(name)
    assert service.report(lease, 0, 0.5) == "pause"
    service.upload(lease, "checkpoint", b"state", 0)
    if ends == "expires":
        service.clock.advance(61.0)
    else:
        assert service.fail(lease, retry=True) == "WAITING"

    pause(service, service.claim_one(name), 0, 0.4)
    promoted = service.claim_one(name)
    assert (promoted["trial_number"], promoted["resume"]["step"]) == (0, 0)
    assert service.complete(promoted, 0.6) == "COMPLETE"


def test_a_worker_that_ends_gives_a_trial_that_is_to_pause_back_to_its_rung(service: Service) -> None:
    name = create(service)
    lease = service.claim_one(name)
    service.report(lease, 0, 0.5)
    service.upload(lease, "checkpoint", b"state", 0)

    assert service.release(lease) == "WAITING"
    assert service.trial(name, 0)["paused_at_rung"] == 0


def test_a_trial_that_has_trained_to_its_end_completes_whatever_the_decision(service: Service) -> None:
    name = create(service)
    lease = service.claim_one(name)
    assert service.report(lease, 0, 0.5) == "pause"
    assert service.complete(lease, 0.5) == "COMPLETE"


def test_code_that_reports_now_and_then_reaches_the_rungs_between(service: Service) -> None:
    name = create(
        service, training={"entrypoint": "mine:train"}, search_space={"x": {"type": "float", "low": 0, "high": 1}}
    )
    (lease,) = service.claim(name, allow=["mine"])
    assert lease["rung_steps"][:4] == [0, 1, 3, 7]
    assert service.report(lease, 4, 0.5) == "pause"
    service.upload(lease, "checkpoint", b"state", 4)
    service.pause(lease)
    assert service.trial(name, 0)["paused_at_rung"] == 2


def test_who_was_told_to_pause_and_trains_on_is_told_so_again_and_pauses_at_that_rung(service: Service) -> None:
    name = create(service, n_trials=3)
    lease = service.claim_one(name)
    told = [service.report(lease, step, value) for step, value in enumerate((0.5, 0.9, 0.9))]
    assert told == ["pause"] * 3
    service.upload(lease, "checkpoint", b"beyond the rung", 2)
    assert service.pause(lease) == "WAITING"
    assert service.trial(name, 0)["paused_at_rung"] == 0

    pause(service, service.claim_one(name), 0, 0.4)
    promoted = service.claim_one(name)
    assert (promoted["trial_number"], promoted["resume"]["step"]) == (0, 2)
    assert service.report(promoted, 3, 0.9) == "continue", "its last epoch"
    assert service.complete(promoted, 0.9) == "COMPLETE"
