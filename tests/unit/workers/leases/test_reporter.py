import threading
from collections.abc import Iterator

import httpx
import pytest

from service.client.retries import Retries
from tests.unit.workers.fakes import FakeService, FakeTime, lease, problem
from tests.waiting import PATIENCE_SECONDS, until
from workers.leases.reporter import Reporter


@pytest.fixture
def service() -> FakeService:
    return FakeService()


@pytest.fixture
def time() -> FakeTime:
    return FakeTime()


@pytest.fixture
def reporter(service: FakeService, time: FakeTime) -> Iterator[Reporter]:
    with service.client() as client:
        reporter = Reporter(client, Retries(60, longest_wait_seconds=0.0), time)
        reporter.follow(lease())
        yield reporter
        reporter.close()


def steps(service: FakeService) -> list[int]:
    return [report["step"] for body in service.bodies("reports") for report in body["reports"]]


def test_reports_arrive_in_order(service: FakeService, reporter: Reporter) -> None:
    for step in range(50):
        reporter.report("lease-0", step, {"train_loss": 1.0})
    assert reporter.flush("lease-0", 5.0)
    assert steps(service) == list(range(50))
    assert reporter.decision("lease-0") == "continue"


def test_reporting_does_not_block_and_waiting_reports_go_in_one_call(service: FakeService, reporter: Reporter) -> None:
    asked, answer = threading.Event(), threading.Event()

    def decide(_lease_id: str, _step: int) -> str:
        asked.set()
        assert answer.wait(PATIENCE_SECONDS)
        return "continue"

    service.decide = decide
    reporter.report("lease-0", 0, {"train_loss": 1.0})
    assert asked.wait(PATIENCE_SECONDS)
    for step in range(1, 10):
        reporter.report("lease-0", step, {"train_loss": 1.0})
    assert not reporter.flush("lease-0", 0.0)
    answer.set()
    assert reporter.flush("lease-0", 5.0)
    assert [len(body["reports"]) for body in service.bodies("reports")] == [1, 9]


@pytest.mark.parametrize("decision", ["prune", "stop", "lost"])
def test_a_decision_comes_back_and_ends_the_reports(service: FakeService, reporter: Reporter, decision: str) -> None:
    service.decide = lambda _lease_id, step: decision if step == 1 else "continue"
    for step in range(2):
        reporter.report("lease-0", step, {"train_loss": 1.0})
    until(lambda: reporter.decision("lease-0") == decision)
    reporter.report("lease-0", 2, {"train_loss": 1.0})
    assert reporter.flush("lease-0", 5.0)
    assert steps(service) == [0, 1]


def test_decisions_go_to_their_own_leases(service: FakeService, reporter: Reporter) -> None:
    reporter.follow(lease(1))
    service.decide = lambda lease_id, _step: "prune" if lease_id == "lease-1" else "continue"
    for lease_id in ("lease-0", "lease-1"):
        reporter.report(lease_id, 0, {"train_loss": 1.0})
    assert reporter.flush("lease-0", 5.0)
    assert reporter.flush("lease-1", 5.0)
    assert (reporter.decision("lease-0"), reporter.decision("lease-1")) == ("continue", "prune")


@pytest.mark.parametrize("away", [httpx.ConnectError("refused"), problem(503, "unavailable")])
def test_reports_are_kept_while_the_service_is_away(
    service: FakeService, reporter: Reporter, away: httpx.Response | httpx.TransportError
) -> None:
    service.answers["reports"] = [away] * 5
    for step in range(3):
        reporter.report("lease-0", step, {"train_loss": 1.0})
    assert reporter.flush("lease-0", 5.0)
    answered = service.bodies("reports")[5:]
    assert [report["step"] for body in answered for report in body["reports"]] == [0, 1, 2]


def test_a_report_that_is_refused_ends_the_trial_with_the_reason(service: FakeService, reporter: Reporter) -> None:
    service.answers["reports"] = [problem(422, "invalid")]
    reporter.report("lease-0", 0, {"train_loss": 1.0})
    until(lambda: reporter.decision("lease-0") == "lost")
    assert str(reporter.refusal("lease-0")) == "no: invalid"


def test_a_report_that_is_refused_ends_no_other_trial(service: FakeService, reporter: Reporter) -> None:
    asked, answer = threading.Event(), threading.Event()

    def decide(_lease_id: str, _step: int) -> str:
        asked.set()
        assert answer.wait(PATIENCE_SECONDS)
        return "continue"

    service.decide = decide
    reporter.report("lease-0", 0, {"train_loss": 1.0})
    assert asked.wait(PATIENCE_SECONDS)
    for number in (1, 2):
        reporter.follow(lease(number))
    for lease_id in ("lease-0", "lease-1", "lease-2"):
        reporter.report(lease_id, 1, {"train_loss": 1.0})
    # The batch, lease-0 alone, lease-1 alone.
    accepted = {"decisions": [{"lease_id": "lease-0", "step": 1, "decision": "continue"}]}
    service.answers["reports"] = [problem(422, "invalid"), httpx.Response(200, json=accepted), problem(422, "invalid")]
    answer.set()
    until(lambda: reporter.decision("lease-1") == "lost")
    assert reporter.flush("lease-0", 5.0)
    assert reporter.flush("lease-2", 5.0)
    assert [reporter.decision(f"lease-{number}") for number in range(3)] == ["continue", "lost", "continue"]
    assert str(reporter.refusal("lease-1")) == "no: invalid"
    assert reporter.refusal("lease-0") is reporter.refusal("lease-2") is None


def test_a_lost_lease_is_no_refusal(service: FakeService, reporter: Reporter) -> None:
    service.answers["reports"] = [problem(409, "lease_lost")]
    reporter.report("lease-0", 0, {"train_loss": 1.0})
    until(lambda: reporter.decision("lease-0") == "lost")
    assert reporter.refusal("lease-0") is None


def test_a_lease_is_renewed_at_a_third_of_its_term(service: FakeService, reporter: Reporter, time: FakeTime) -> None:
    time.now = 19.0
    reporter.follow(lease(1, expires_in_seconds=6.0))
    time.now = 21.0
    reporter.follow(lease(2, expires_in_seconds=6.0))  # wakes the thread, as the passing of time would
    until(lambda: service.bodies("leases/renew") != [])
    assert service.bodies("leases/renew")[0] == {"lease_ids": ["lease-0", "lease-1"]}


class Pauses:
    """Counts the waits between calls without waiting."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def is_set(self) -> bool:
        return False

    def wait(self, seconds: float) -> None:
        self.seconds.append(seconds)


@pytest.mark.parametrize("path", ["reports", "leases/renew"])
@pytest.mark.parametrize("retry_after", [None, "30"])
def test_no_lease_runs_out_while_the_reporter_waits_to_call_again(
    service: FakeService, time: FakeTime, path: str, retry_after: str | None
) -> None:
    pauses = Pauses()
    headers = {} if retry_after is None else {"Retry-After": retry_after}
    away = httpx.Response(503, headers=headers, json=problem(503, "unavailable").json())
    service.answers[path] = [away] * 40
    with service.client() as client:
        reporter = Reporter(client, Retries(3600, pauses), time)
        reporter.follow(lease(0))
        reporter.follow(lease(1, expires_in_seconds=6.0))
        if path == "reports":
            reporter.report("lease-0", 0, {"train_loss": 1.0})
        else:
            time.now = 2.0
            reporter.follow(lease(2))  # wakes the thread, as the passing of time would
        until(lambda: len(service.bodies(path)) > 40)
        reporter.close()

    assert len(pauses.seconds) == 40
    assert max(pauses.seconds) <= 0.5, "of a term of 6 s"


def test_a_lease_that_has_nearly_expired_is_renewed_for_its_whole_term(
    service: FakeService, reporter: Reporter, time: FakeTime
) -> None:
    reporter.follow(lease(1, expires_in_seconds=0.3))
    time.now = 0.2
    reporter.follow(lease(2))
    until(lambda: service.bodies("leases/renew") != [])
    time.now = 1.0
    reporter.report("lease-2", 0, {"train_loss": 1.0})
    assert reporter.flush("lease-2", 5.0)
    assert service.bodies("leases/renew") == [{"lease_ids": ["lease-1"]}]


def test_a_report_counts_as_a_renewal(service: FakeService, reporter: Reporter, time: FakeTime) -> None:
    time.now = 19.0
    reporter.report("lease-0", 0, {"train_loss": 1.0})
    assert reporter.flush("lease-0", 5.0)
    time.now = 38.0
    reporter.report("lease-0", 1, {"train_loss": 1.0})
    assert reporter.flush("lease-0", 5.0)
    assert service.bodies("leases/renew") == []


def test_a_renewal_can_show_that_a_lease_is_lost(service: FakeService, reporter: Reporter, time: FakeTime) -> None:
    service.alive = False
    time.now = 21.0
    reporter.follow(lease(1))
    until(lambda: reporter.decision("lease-0") == "lost")


def test_a_forgotten_lease_is_neither_reported_nor_renewed(
    service: FakeService, reporter: Reporter, time: FakeTime
) -> None:
    reporter.forget("lease-0")
    time.now = 100.0
    reporter.follow(lease(1))
    reporter.report("lease-1", 0, {"train_loss": 1.0})
    assert reporter.flush("lease-1", 5.0)
    assert service.paths() == ["reports"]
