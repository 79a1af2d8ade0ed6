"""What Optuna's callbacks look for in a study's storage when one trial has several processes."""

import sys
from collections.abc import Callable
from typing import Any

from workers.user_process.channel import Channel

INTERMEDIATE_VALUES = "ddp_pl:intermediate_value"
"""The attribute in which Optuna's callback for Lightning keeps what it has reported, to report it again at the end."""
CLASSES = {"optuna.storages._cached_storage": "_CachedStorage", "optuna.storages._rdb.storage": "RDBStorage"}
"""Classes, by their modules, of which callbacks ask the storage and its backend to be."""


class RankStorage:
    """System attributes of a trial, which last as long as its processes.

    They are those of this rank here, and in every rank those of rank 0 in `_backend`.
    """

    def __init__(self, channel: Channel, is_reported: Callable[[int], bool]) -> None:
        """`is_reported`: whether this rank has reported a step."""
        self._channel = channel
        self._is_reported = is_reported
        self._attrs: dict[str, Any] = {}
        self._backend = _FirstRank(self)
        for module, kind in zip(CLASSES, (RankStorage, _FirstRank), strict=True):
            if module in sys.modules:
                getattr(sys.modules[module], CLASSES[module]).register(kind)

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        """Set an attribute of the trial."""
        self._attrs[key] = value

    def get_trial_system_attrs(self, trial_id: int) -> dict[str, Any]:
        """The attributes that this rank has set."""
        return dict(self._attrs)

    def of_first_rank(self) -> dict[str, Any]:
        """The attributes that rank 0 has set, when it made the same call. It waits for rank 0."""
        attrs: dict[str, Any] = self._channel.call("broadcast", value=self._attrs)["value"]
        if INTERMEDIATE_VALUES in attrs:
            values = attrs[INTERMEDIATE_VALUES].items()
            attrs[INTERMEDIATE_VALUES] = {step: value for step, value in values if not self._is_reported(int(step))}
        return attrs


class _FirstRank:
    """The backend of the storage of a rank."""

    def __init__(self, storage: RankStorage) -> None:
        self._storage = storage

    def get_trial_system_attrs(self, trial_id: int) -> dict[str, Any]:
        """The attributes that rank 0 has set. Every rank makes this call, or none."""
        return self._storage.of_first_rank()
