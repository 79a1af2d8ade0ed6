import threading

import pytest

from tests.unit.workers.fakes import FakeTime
from workers.faults import Fault
from workers.leases.study_backoff import StudyBackoff

MISSING = Fault("no such folder: photos", retry=True)


@pytest.fixture
def time() -> FakeTime:
    return FakeTime()


@pytest.fixture
def backoff(time: FakeTime) -> StudyBackoff:
    return StudyBackoff(time)


def test_only_the_study_of_the_fault_rests(backoff: StudyBackoff, time: FakeTime) -> None:
    backoff.note_result("sick", MISSING)
    backoff.note_result("well", None)
    assert backoff.resting() == ["sick"]
    assert backoff.seconds_left == 1.0
    time.sleep(1.0)
    assert backoff.resting() == []
    assert backoff.seconds_left == float("inf")


def test_each_study_has_rests_of_its_own(backoff: StudyBackoff, time: FakeTime) -> None:
    backoff.note_result("first", MISSING)
    time.sleep(1.0)
    backoff.note_result("first", MISSING)
    backoff.note_result("second", MISSING)
    assert backoff.seconds_left == 1.0
    time.sleep(1.0)
    assert backoff.resting() == ["first"]


def test_a_fault_during_a_rest_does_not_make_it_longer(backoff: StudyBackoff, time: FakeTime) -> None:
    for _ in range(10):
        backoff.note_result("sick", MISSING)
    time.sleep(1.0)
    assert backoff.resting() == []


def test_a_trial_that_trains_ends_the_rests(backoff: StudyBackoff, time: FakeTime) -> None:
    for seconds in (1.0, 2.0):
        backoff.note_result("sick", MISSING)
        time.sleep(seconds)
    backoff.note_result("sick", None)
    backoff.note_result("sick", MISSING)
    assert backoff.seconds_left == 1.0


@pytest.mark.parametrize(
    "fault", [Fault("train_loss is nan"), Fault("cuda:0 failed", retry=True, broken=True)], ids=["own", "broken"]
)
def test_other_faults_are_no_reason_to_rest(backoff: StudyBackoff, fault: Fault) -> None:
    backoff.note_result("study", fault)
    assert backoff.resting() == []


def test_a_claim_leaves_out_no_more_studies_than_it_may(backoff: StudyBackoff) -> None:
    for number in range(1001):
        backoff.note_result(f"study-{number}", MISSING)
    assert len(backoff.resting()) == 1000


def test_the_log_says_since_when_a_study_cannot_be_trained(
    backoff: StudyBackoff, time: FakeTime, caplog: pytest.LogCaptureFixture
) -> None:
    backoff.note_result("sick", MISSING)
    time.sleep(1.0)
    backoff.note_result("sick", MISSING)
    first, second = [message.partition("; ") for message in caplog.messages]
    assert first[0].startswith("sick: this machine has not been able to train its trials since 2")
    assert second[0] == first[0]
    assert (first[2], second[2]) == ("other studies only for 1 s", "other studies only for 2 s")


def test_what_a_machine_lacks_rests_with_the_study_that_found_it_out(backoff: StudyBackoff, time: FakeTime) -> None:
    backoff.note_result("first", Fault("no such folder: photos", retry=True, lacking="photos"))
    time.sleep(0.25)
    assert not backoff.is_lacking("other", "digits")
    assert backoff.is_lacking("second", "photos")
    assert sorted(backoff.resting()) == ["first", "second"]
    assert backoff.seconds_left == 0.75
    time.sleep(0.75)
    assert backoff.resting() == []
    assert not backoff.is_lacking("second", "photos")


def test_after_any_other_fault_nothing_is_lacking(backoff: StudyBackoff) -> None:
    backoff.note_result("first", MISSING)
    assert not backoff.is_lacking("second", "photos")


def test_rests_may_end_while_another_thread_claims(backoff: StudyBackoff) -> None:
    names = [f"study-{number}" for number in range(200)]

    def rest_and_train() -> None:
        for result in [MISSING, None] * 20:
            for name in names:
                backoff.note_result(name, result)

    other = threading.Thread(target=rest_and_train)
    other.start()
    while other.is_alive():
        assert set(backoff.resting()) <= set(names)
