"""Which numbers belong to which step."""

from typing import Any

from workers.user_code.commands.report_collector import MAX_METRICS, ReportCollector


class Collected:
    """A collector, its reports, and what it has told."""

    def __init__(self, *metrics: str, finds_steps: bool = False, first_step: int = 0) -> None:
        self.reports: list[tuple[int, dict[str, float]]] = []
        self.told: list[str] = []
        self.collector = ReportCollector(
            ["acc"],
            metrics,
            finds_steps=finds_steps,
            first_step=first_step,
            report=lambda step, values: self.reports.append((step, values)),
            tell=self.told.append,
        )

    def line(self, step: str | None = None, **texts: str) -> None:
        self.collector.add_found(step, texts)


def test_each_value_of_the_objective_is_the_next_step() -> None:
    collected = Collected("acc", "loss", first_step=3)
    collected.line(loss="0.5")
    collected.line(acc="0.1")
    collected.line(acc="0.1", loss="0.4")

    assert collected.reports == [(3, {"loss": 0.5, "acc": 0.1}), (4, {"acc": 0.1, "loss": 0.4})]


def test_a_step_is_reported_once_all_its_metrics_are_there() -> None:
    collected = Collected("acc", "loss", finds_steps=True)
    collected.line("1")
    collected.line(acc="0.1")
    assert collected.reports == []
    collected.line(loss="0.5")
    assert collected.reports == [(1, {"acc": 0.1, "loss": 0.5})]


def test_a_step_that_lacks_metrics_is_reported_when_the_next_one_begins_or_the_program_ends() -> None:
    collected = Collected("acc", "loss", finds_steps=True)
    collected.line("1", acc="0.1")
    collected.line("2", acc="0.2")
    assert collected.reports == [(1, {"acc": 0.1})]
    collected.collector.finish()
    collected.collector.finish()
    assert collected.reports == [(1, {"acc": 0.1}), (2, {"acc": 0.2})]


def test_json_lines_have_steps_of_their_own_or_count() -> None:
    collected = Collected()
    assert collected.collector.add_object({"step": 5, "acc": 0.5, "loss": 1})
    assert collected.collector.add_object({"loss": 2})
    assert collected.collector.add_object({"acc": 0.6})

    assert collected.reports == [(5, {"acc": 0.5, "loss": 1.0}), (6, {"loss": 2.0, "acc": 0.6})]
    assert collected.collector.latest == {"acc": 0.6, "loss": 2.0}


def test_what_is_not_taken_is_told_once() -> None:
    collected = Collected("acc", finds_steps=True)
    bad: list[dict[str, Any]] = [
        {"step": 1.5, "acc": 1.0},
        {"step": True, "acc": 1.0},
        {"step": -1, "acc": 1.0},
        {"step": 2**31, "acc": 1.0},
        {"step": 0, "acc": "high"},
        {"step": 0, "": 1.0},
        {"step": 0, "acc": 10**400},
    ]
    for fields in bad * 2:
        assert not collected.collector.add_object(fields)
    collected.line("x", acc="0.1")
    collected.line("3", acc="much")
    collected.line("3", acc="0.3")
    collected.line("2", acc="0.4")
    assert not any("torchrun" in text for text in collected.told)
    collected.line("3", acc="0.4")

    assert collected.reports == [(3, {"acc": 0.3})]
    assert len(collected.told) == len(set(collected.told))
    for fragment in ("whole number", "from 0 to", "must be a number: 'high'", "steps must grow", "launch: torchrun"):
        assert any(fragment in text for text in collected.told), fragment


def test_metrics_are_bounded() -> None:
    collected = Collected()
    for index in range(10):
        collected.collector.add_object({"step": index, **{f"m{index}-{number}": 1.0 for number in range(50)}})

    assert len(collected.collector.latest) == MAX_METRICS
    assert len(collected.told) == 1
