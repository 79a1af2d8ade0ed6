"""What the service and a sampler's process send each other over a socket.

The service sends pickled messages. The process answers each `Start` and `Ask` with JSON, because the service must not
unpickle what another process has made. Each message follows its length.
"""

import pickle
import socket
import time
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from optuna.distributions import BaseDistribution
from optuna.pruners import HyperbandPruner
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

LENGTH_BYTES = 8
PIECE_BYTES = 1024**2


class Start(NamedTuple):
    """The first message: the function that makes the sampler, and what never changes of the study.

    `reseeds`: the sampler has made suggestions before, and a seed in its options must not repeat them.
    """

    entrypoint: str
    options: dict[str, Any]
    reseeds: bool
    study_id: int
    study_name: str
    directions: list[StudyDirection]


class TrialsChange(NamedTuple):
    """The trials of the study that are new or changed, by their positions, and the number of all its trials."""

    trials: Sequence[tuple[int, FrozenTrial]]
    n_trials: int


class AttrsChange(NamedTuple):
    """All attributes of the study, because some have changed."""

    user_attrs: dict[str, Any]
    system_attrs: dict[str, Any]


Method = Literal["sample_relative", "sample_independent", "after_trial"]


class Ask(NamedTuple):
    """Call a method of the sampler for a trial.

    begins: call `before_trial` first.
    parameter: name and distribution, for `sample_independent`.
    state, values: how the trial has ended, for `after_trial`.
    pruner: the study's pruner, if that divides the trials among several brackets.
    """

    method: Method
    trial_id: int
    begins: bool = False
    parameter: tuple[str, BaseDistribution] | None = None
    state: TrialState = TrialState.RUNNING
    values: Sequence[float] | None = None
    pruner: HyperbandPruner | None = None


Message = Start | TrialsChange | AttrsChange | Ask


def pickled(message: Message) -> bytes:
    """A message of the service, as it is sent."""
    return pickle.dumps(message)


def send(channel: socket.socket, content: bytes, deadline: float | None = None) -> None:
    """Send a message. Raises TimeoutError at the deadline, in monotonic seconds, and OSError if nobody receives."""
    _limit(channel, deadline)
    channel.sendall(len(content).to_bytes(LENGTH_BYTES, "big"))
    _limit(channel, deadline)
    channel.sendall(content)


def receive(channel: socket.socket, max_bytes: int, deadline: float | None = None) -> bytes:
    """Receive a message. Raises TimeoutError, EOFError at the end of the channel, and ValueError if it is too long."""
    length = int.from_bytes(_received(channel, LENGTH_BYTES, deadline), "big")
    if length > max_bytes:
        raise ValueError(f"its answer must have at most {max_bytes} bytes: {length}")
    return _received(channel, length, deadline)


def _received(channel: socket.socket, n_bytes: int, deadline: float | None) -> bytes:
    parts: list[bytes] = []
    while n_bytes > 0:
        _limit(channel, deadline)
        part = channel.recv(min(n_bytes, PIECE_BYTES))
        if not part:
            raise EOFError("the channel is closed")
        parts.append(part)
        n_bytes -= len(part)
    return b"".join(parts)


def _limit(channel: socket.socket, deadline: float | None) -> None:
    if deadline is None:
        return
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    channel.settimeout(left)
