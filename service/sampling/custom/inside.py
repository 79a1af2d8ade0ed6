"""The process of a custom sampler: `python -m service.sampling.custom.inside SOCKET MEMORY_BYTES PARENT`.

It makes the sampler, and calls it when the service asks. What the sampler prints goes to the service's log alone.
"""

import importlib
import json
import pickle
import socket
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from optuna import Study
from optuna.distributions import BaseDistribution, distribution_to_json
from optuna.pruners import NopPruner
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial

from service.process_limits import die_with, limit_memory
from service.sampling.custom.messages import Ask, AttrsChange, Message, Start, TrialsChange, receive, send
from service.sampling.custom.mirror_storage import MirrorStorage
from storage import filtered_study

MAX_MESSAGE_BYTES = 2**40
OOM_SCORE = "1000"
"""If the machine's memory is used up, the kernel kills this process before the service."""


def main() -> None:
    """Answer until the service closes the channel."""
    descriptor, n_bytes, parent = map(int, sys.argv[1:4])
    die_with(parent)
    limit_memory(n_bytes)
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(OOM_SCORE)
    channel = socket.socket(fileno=descriptor)
    caller: SamplerCaller | None = None
    with suppress(EOFError, ConnectionError):
        while True:
            message: Message = pickle.loads(receive(channel, MAX_MESSAGE_BYTES))
            if isinstance(message, Start):
                answer, caller = _started(message)
                send(channel, _as_json(answer))
            elif caller is not None:
                if isinstance(message, Ask):
                    send(channel, _as_json(_caught(partial(caller.answer, message))))
                else:
                    caller.change(message)


def make_sampler(start: Start) -> BaseSampler:
    """Call the function that makes the sampler. Raises its errors, and TypeError for what is no sampler."""
    module, _, function = start.entrypoint.partition(":")
    made = getattr(importlib.import_module(module), function)(**start.options)
    if not isinstance(made, BaseSampler):
        raise TypeError(f"{start.entrypoint} must return an optuna.samplers.BaseSampler: {type(made).__name__}")
    if start.reseeds:
        made.reseed_rng()
    return made


class SamplerCaller:
    """Calls a sampler as Optuna does, on a mirror of the study."""

    def __init__(self, start: Start, sampler: BaseSampler) -> None:
        self._storage = MirrorStorage(start)
        self._sampler = sampler
        self._start = start

    def change(self, message: TrialsChange | AttrsChange) -> None:
        """Take over what has changed in the study."""
        if isinstance(message, TrialsChange):
            self._storage.take(message)
        else:
            self._storage.user_attrs, self._storage.system_attrs = message.user_attrs, message.system_attrs

    def answer(self, ask: Ask) -> dict[str, Any]:
        """What the sampler answers, and the attributes that it has set."""
        with self._storage.opened(ask.trial_id) as trial:
            found = self._called(ask, trial)
        return {**found, "written": vars(self._storage.written)}

    def _called(self, ask: Ask, trial: FrozenTrial) -> dict[str, Any]:
        whole = Study(self._start.study_name, self._storage, self._sampler, ask.pruner or NopPruner())
        study = filtered_study(whole, trial)
        if ask.begins:
            self._sampler.before_trial(study, trial)
        if ask.method == "after_trial":
            self._sampler.after_trial(study, trial, ask.state, ask.values)
            return {}
        if ask.parameter is not None:
            return self._independent(study, trial, *ask.parameter)
        return self._relative(study, trial)

    def _independent(
        self, study: Study, trial: FrozenTrial, name: str, distribution: BaseDistribution
    ) -> dict[str, Any]:
        value = self._sampler.sample_independent(study, trial, name, distribution)
        return {"value": float(distribution.to_internal_repr(value))}

    def _relative(self, study: Study, trial: FrozenTrial) -> dict[str, Any]:
        space = self._sampler.infer_relative_search_space(study, trial)
        params = self._sampler.sample_relative(study, trial, space)
        unknown = [name for name in params if name not in space]
        if unknown:
            raise ValueError(f"sample_relative must not return what its search space lacks: {', '.join(unknown)}")
        return {
            "space": {name: distribution_to_json(one) for name, one in space.items()},
            "params": {name: float(space[name].to_internal_repr(value)) for name, value in params.items()},
        }


def _started(start: Start) -> tuple[dict[str, Any], SamplerCaller | None]:
    made: list[BaseSampler] = []

    def make() -> dict[str, Any]:
        made.append(make_sampler(start))
        return {}

    answer = _caught(make)
    return answer, SamplerCaller(start, made[0]) if made else None


def _caught(call: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What a call returns, or its error. Also `sys.exit` in a sampler is an error of it."""
    try:
        return call()
    except BaseException as error:  # noqa: BLE001
        # Whatever else holds memory belongs to the sampler, so that this process is of no more use.
        lacks_memory = isinstance(error, MemoryError)
        message = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        return {"error": message, "details": traceback.format_exc(), "lacks_memory": lacks_memory}


def _as_json(answer: dict[str, Any]) -> bytes:
    try:
        return json.dumps(answer).encode()
    except (TypeError, ValueError) as error:
        return json.dumps({"error": f"an attribute that it sets must be JSON: {error}", "details": ""}).encode()


if __name__ == "__main__":
    main()
