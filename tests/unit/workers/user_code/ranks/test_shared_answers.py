"""Other ranks get the answers of rank 0: by the step, by the name, or by the number of the call."""

from typing import Any

import pytest

from tests.unit.workers.fakes import FakeTime
from workers.user_code.ranks.shared_answers import MAX_KEPT, WAIT_SECONDS, SharedAnswers
from workers.user_process.channel import Message

GO, PRUNE = {"decision": "continue"}, {"decision": "prune"}


class Ranks:
    """Answers that are shared, and what each call was answered."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.time = FakeTime()
        self.answers = SharedAnswers(self.told.append, self.time)

    def ask(self, call: str, rank: int = 1, **fields: Any) -> list[Message]:
        """Make a call. The list has its answer as soon as there is one."""
        answer: list[Message] = []
        self.answers.ask(rank, {"call": call, **fields}, answer.append)
        return answer

    def report(self, step: int, answer: Message) -> None:
        self.answers.record({"call": "report", "step": step, "metrics": {"loss": 1.0}}, answer)


@pytest.fixture
def ranks() -> Ranks:
    return Ranks()


def test_a_report_has_the_answer_of_rank_0_at_the_same_step_before_and_after_it(ranks: Ranks) -> None:
    early = ranks.ask("report", step=1)
    ranks.report(0, GO)
    assert early == []
    ranks.report(1, PRUNE)
    assert early == [PRUNE]
    assert ranks.ask("report", rank=2, step=0) == [GO]
    assert ranks.ask("report", rank=2, step=1) == [PRUNE]


def test_a_step_that_rank_0_leaves_out_has_the_answer_of_its_next_one(ranks: Ranks) -> None:
    left_out = ranks.ask("report", step=3)
    ranks.report(5, PRUNE)
    assert left_out == [PRUNE]
    assert ranks.ask("report", step=4) == [PRUNE]


def test_several_reports_of_rank_0_in_one_are_answered_together(ranks: Ranks) -> None:
    asked = [ranks.ask("report", step=step) for step in range(3)]
    ranks.answers.record({"call": "reports", "step": 2, "reports": []}, GO)
    assert asked == [[GO]] * 3


def test_a_refused_report_is_refused_in_every_rank(ranks: Ranks) -> None:
    refusal = {"error": "no such metric"}
    ranks.report(0, refusal)
    assert ranks.ask("report", step=0) == [refusal]


def test_suggestions_go_by_their_names(ranks: Ranks) -> None:
    waiting = ranks.ask("suggest", name="y")
    ranks.answers.record({"call": "suggest", "name": "x"}, {"value": 1})
    assert waiting == []
    assert ranks.ask("suggest", name="x") == [{"value": 1}]
    ranks.answers.record({"call": "suggest", "name": "y"}, {"value": 2})
    assert waiting == [{"value": 2}]


def test_other_calls_go_by_their_number_in_each_rank(ranks: Ranks) -> None:
    for answer in (GO, PRUNE):
        ranks.answers.record({"call": "decision"}, answer)
    assert [ranks.ask("decision", rank) for rank in (1, 2, 1, 2)] == [[GO], [GO], [PRUNE], [PRUNE]]
    assert ranks.ask("decision") == []


def test_what_only_rank_0_sends_has_an_answer_at_once(ranks: Ranks) -> None:
    assert ranks.ask("set_user_attr", user_attrs={"a": 1}) == [{}]
    assert ranks.ask("set_constraint", constraints={"c": 1.0}) == [{}]


def test_after_the_end_of_rank_0_nobody_waits(ranks: Ranks) -> None:
    ranks.report(0, PRUNE)
    waiting = [ranks.ask("report", step=1), ranks.ask("decision"), ranks.ask("suggest", name="x")]
    ranks.answers.finish()
    assert waiting[:2] == [[PRUNE], [PRUNE]]
    assert waiting[2] == [{"error": "rank 0 has ended without the same call: suggest x"}]
    assert ranks.ask("report", step=2) == [PRUNE]


def test_without_a_report_the_decision_is_to_continue(ranks: Ranks) -> None:
    ranks.answers.finish()
    assert ranks.ask("report", step=0) == [GO]


def test_a_long_wait_is_told_once(ranks: Ranks) -> None:
    ranks.ask("report", step=7)
    ranks.answers.tell_long_waits()
    assert ranks.told == []
    ranks.time.now = WAIT_SECONDS
    for _ in range(2):
        ranks.answers.tell_long_waits()
    assert ranks.told == ["rank 1 waits for the same call by rank 0: report 7"]


@pytest.mark.parametrize("step", [None, "3", [1], 1.5])
def test_a_report_without_a_step_is_refused(ranks: Ranks, step: Any) -> None:
    (answer,) = ranks.ask("report", step=step)
    assert "error" in answer


def test_of_many_answers_the_last_ones_are_kept(ranks: Ranks) -> None:
    for step in range(2 * MAX_KEPT + 2):
        ranks.report(step, {"decision": "continue", "step": step})
        ranks.answers.record({"call": "decision"}, {"decision": "continue", "number": step})
    assert ranks.ask("report", step=2 * MAX_KEPT)[0]["step"] == 2 * MAX_KEPT
    assert ranks.ask("report", step=0)[0]["step"] == MAX_KEPT
    assert ranks.ask("decision")[0]["number"] == MAX_KEPT + 2
