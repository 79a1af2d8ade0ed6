"""The trial that objectives get, compared with Optuna's trial."""

import inspect
import json
import socket
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import optuna
import pytest

from workers.user_process.channel import Channel
from workers.user_process.study import TrialStudy
from workers.user_process.trial import Trial

START = {
    "number": 3,
    "study": "mine",
    "objectives": [{"metric": "loss", "direction": "minimize"}],
    "params": {},
    "user_attrs": {},
    "constraints": {},
    "prunes": True,
    "world_size": 1,
}
PUBLIC = sorted(name for name in dir(optuna.Trial) if not name.startswith("_"))
METHODS = [name for name in PUBLIC if callable(inspect.getattr_static(optuna.Trial, name))]


@pytest.fixture
def asked() -> list[dict[str, Any]]:
    """The requests that the trial has sent to its worker."""
    return []


@pytest.fixture
def trial(asked: list[dict[str, Any]]) -> Iterator[Trial]:
    """Return a trial whose worker answers every request with 0.5."""
    ours, theirs = socket.socketpair()

    def answer() -> None:
        for line in theirs.makefile("rb"):
            asked.append(json.loads(line))
            theirs.sendall(b'{"value": 0.5}\n')

    thread = threading.Thread(target=answer)
    thread.start()
    yield Trial(START, Channel(ours))
    ours.shutdown(socket.SHUT_RDWR)
    thread.join()
    ours.close()
    theirs.close()


@pytest.mark.parametrize("name", PUBLIC)
def test_the_trial_has_every_attribute_of_optunas_trial(trial: Trial, name: str) -> None:
    static = inspect.getattr_static(trial, name)  # a property that raises is there too
    assert callable(static) == (name in METHODS)


@pytest.mark.parametrize("name", METHODS)
def test_methods_take_the_arguments_of_optunas_trial(name: str) -> None:
    def shape(kind: type) -> list[tuple[str, Any, Any]]:
        parameters = inspect.signature(getattr(kind, name)).parameters.values()
        return [(one.name, one.kind, one.default) for one in parameters]

    assert shape(Trial) == shape(optuna.Trial)


@pytest.mark.parametrize(
    ("method", "arguments", "distribution"),
    [
        ("suggest_uniform", (0.0, 1.0), {"step": None, "log": False}),
        ("suggest_loguniform", (0.1, 1.0), {"step": None, "log": True}),
        ("suggest_discrete_uniform", (0.0, 1.0, 0.25), {"step": 0.25, "log": False}),
    ],
)
def test_deprecated_suggest_methods_warn_as_in_optuna(
    trial: Trial, asked: list[dict[str, Any]], method: str, arguments: tuple[float, ...], distribution: dict[str, Any]
) -> None:
    with pytest.warns(FutureWarning, match=f"{method} has been deprecated"):
        assert getattr(trial, method)("x", *arguments) == 0.5
    given = {"type": "float", "low": arguments[0], "high": arguments[1], **distribution}
    assert asked == [{"call": "suggest", "name": "x", "distribution": given}]


def test_relative_params_raise_an_error_that_says_what_to_use(trial: Trial) -> None:
    with pytest.raises(NotImplementedError, match="sampled together: use params"):
        _ = trial.relative_params


class Worker:
    """Answers a trial's requests with what a test says: an answer, or a list of answers by turn."""

    def __init__(self, *answers: dict[str, Any]) -> None:
        self.answers = list(answers)
        self.asked: list[dict[str, Any]] = []
        self._ours, self._theirs = socket.socketpair()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        self.channel = Channel(self._ours)

    def _run(self) -> None:
        with self._theirs, self._theirs.makefile("rb") as lines:
            for line in lines:
                self.asked.append(json.loads(line))
                answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
                self._theirs.sendall(json.dumps(answer).encode() + b"\n")

    def close(self) -> None:
        self._ours.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self.channel._lines.close()
        self._ours.close()


@pytest.fixture
def workers() -> Iterator[list[Worker]]:
    """Workers that are closed after the test."""
    started: list[Worker] = []
    yield started
    for worker in started:
        worker.close()


def trial_with(workers: list[Worker], *answers: dict[str, Any], **start: Any) -> tuple[Trial, Worker]:
    worker = Worker(*answers)
    workers.append(worker)
    return Trial({**START, **start}, worker.channel), worker


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        (float("nan"), "nan"),
        ({"a": [float("inf"), (-float("inf"), 1)]}, {"a": ["inf", ["-inf", 1]]}),
        (np.float32(0.5), 0.5),
        (np.int64(3), 3),
        (np.float64("nan"), "nan"),
        ("text", "text"),
        (True, True),
        (None, None),
    ],
)
def test_user_attributes_are_stored_as_json_has_them(workers: list[Worker], value: Any, stored: Any) -> None:
    trial, worker = trial_with(workers, {})
    trial.set_user_attr("key", value)
    assert worker.asked == [{"call": "set_user_attr", "user_attrs": {"key": stored}}]
    assert trial.user_attrs["key"] is value


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("key", object(), "[the user attribute 'key' is not kept: Object of type object is not JSON serializable]"),
        (
            "key",
            "x" * 70_000,
            "[the user attribute 'key' is not kept: it must have at most 65536 bytes as JSON: 70002]",
        ),
        ("\ud800", "\ud800", "[the user attribute '\\ud800' is not kept: no \\ud800]"),
        ("key", 1, "[the user attribute 'key' is not kept: no \\ud800]"),
    ],
)
def test_a_user_attribute_that_cannot_be_stored_costs_the_trial_nothing(
    workers: list[Worker], capsys: pytest.CaptureFixture[str], key: str, value: Any, told: str
) -> None:
    trial, _ = trial_with(workers, {"error": "no \ud800"})
    trial.set_user_attr(key, value)
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith(told)
    assert trial.user_attrs == {key: value}


def test_an_attribute_that_holds_itself_costs_the_trial_nothing(
    workers: list[Worker], capsys: pytest.CaptureFixture[str]
) -> None:
    trial, worker = trial_with(workers, {})
    value: list[Any] = []
    value.append(value)
    trial.set_user_attr("key", value)
    assert capsys.readouterr().out.startswith("[the user attribute 'key' is not kept: ")
    assert worker.asked == []


def test_a_report_that_is_refused_costs_the_trial_nothing(
    workers: list[Worker], capsys: pytest.CaptureFixture[str]
) -> None:
    trial, _ = trial_with(workers, {"error": "step: too large"})
    trial.report(0.5, 2**40)
    assert capsys.readouterr().out == f"[the report at step {2**40} is not kept: step: too large]\n"


BEST = {"number": 2, "values": [0.25], "params": {"x": 0.25}, "user_attrs": {"note": "y"}}


def test_the_study_knows_its_best_trial_and_asks_once_a_second(workers: list[Worker]) -> None:
    _, worker = trial_with(workers, {"best_trial": None}, {"best_trial": BEST})
    now = [0.0]
    study = TrialStudy("mine", ["minimize"], worker.channel, lambda: now[0])
    for now[0] in (0.0, 0.5):
        with pytest.raises(ValueError, match=r"^No trials are completed yet\.$"):
            study.best_value  # noqa: B018
    for now[0] in (1.0, 1.5, 1.9):
        assert (study.best_value, study.best_params) == (0.25, {"x": 0.25})
        assert (study.best_trial.number, study.best_trial.user_attrs) == (2, {"note": "y"})
    assert worker.asked == [{"call": "best_trial"}] * 2


def test_the_study_says_what_it_lacks(workers: list[Worker]) -> None:
    trial, _ = trial_with(workers, {})
    assert (trial.study.study_name, trial.study.direction.name) == ("mine", "MINIMIZE")
    with pytest.raises(AttributeError, match=r"the study of a trial has no get_trials in Narrows: it has study_name, "):
        trial.study.get_trials()
    objectives = [{"metric": name, "direction": "minimize"} for name in ("a", "b")]
    trial, _ = trial_with(workers, {}, objectives=objectives)
    with pytest.raises(RuntimeError, match="multi-objective"):
        trial.study.best_value  # noqa: B018
