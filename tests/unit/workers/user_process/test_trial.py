"""The trial that objectives get, compared with Optuna's trial."""

import inspect
import json
import socket
import threading
from collections.abc import Iterator
from typing import Any

import optuna
import pytest

from workers.user_process.channel import Channel
from workers.user_process.trial import Trial

START = {
    "number": 3,
    "study": "mine",
    "objectives": [{"metric": "loss", "direction": "minimize"}],
    "params": {},
    "user_attrs": {},
    "constraints": {},
    "prunes": True,
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
