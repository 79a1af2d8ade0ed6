"""The rank that failed first, and not one that has lost it."""

from tests.unit.workers.fakes import FakeTime
from workers.user_code.outcome import Failed
from workers.user_code.ranks.rank_failures import SETTLE_SECONDS, RankFailures

LOST = Failed("RuntimeError: [/gloo/transport/tcp/pair.cc:547] Connection closed by peer [127.0.0.1]:49713")


def test_the_first_one_is_chosen_at_once() -> None:
    failures = RankFailures()
    assert failures.chosen(2) is None
    failures.add(1, Failed("ValueError: mine", retry=True))
    assert failures.chosen(1) == (1, Failed("rank 1: ValueError: mine", retry=True))


def test_a_lost_connection_waits_for_its_cause() -> None:
    time = FakeTime()
    failures = RankFailures(time)
    failures.add(0, LOST)
    assert failures.chosen(1) is None
    failures.add(1, Failed("ValueError: mine"))
    assert failures.chosen(0) == (1, Failed("rank 1: ValueError: mine"))


def test_a_lost_connection_is_told_if_nothing_else_has_failed() -> None:
    time = FakeTime()
    failures = RankFailures(time)
    failures.add(0, LOST)
    time.now = SETTLE_SECONDS
    chosen = failures.chosen(1)
    assert chosen is not None
    assert chosen[1].reason.startswith("rank 0: RuntimeError: [/gloo")


def test_a_lost_connection_is_told_if_no_rank_is_left() -> None:
    failures = RankFailures()
    failures.add(1, Failed("the program ended with status 1"), "torch.distributed.DistBackendError: NCCL error")
    assert failures.chosen(1) is None
    assert failures.chosen(0) is not None


def test_a_second_failure_of_a_rank_changes_nothing() -> None:
    failures = RankFailures()
    for reason in ("first", "second"):
        failures.add(0, Failed(reason))
    assert failures.ranks == {0}
    assert failures.chosen(0) == (0, Failed("rank 0: first"))
