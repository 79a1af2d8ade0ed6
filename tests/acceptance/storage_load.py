"""A process that writes to a storage from several threads and reports each acknowledged write, until it is killed."""

import os
import random
import threading
from multiprocessing.connection import Connection
from typing import Any

import optuna
from optuna.distributions import FloatDistribution
from optuna.study import StudyDirection
from optuna.trial import TrialState

from storage import GroupCommitStorage

N_THREADS = 4
RANGE = FloatDistribution(0.0, 1.0)

Acknowledged = tuple[str, int, tuple[Any, ...]]
"""The kind of write, the id of the study or trial, and the values that must be in the database."""


def write_until_killed(url: str, seed: int, channel: Connection) -> None:
    """Send every acknowledged write through the channel, one message each."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    storage = GroupCommitStorage(url)
    lock = threading.Lock()

    def acknowledge(what: str, owner_id: int, *values: Any) -> None:
        with lock:
            channel.send((what, owner_id, values))

    threads = [
        threading.Thread(target=_write, args=(storage, random.Random(seed * N_THREADS + index), acknowledge))
        for index in range(N_THREADS)
    ]
    acknowledge("ready", os.getpid())
    for thread in threads:
        thread.start()


def _write(storage: GroupCommitStorage, numbers: random.Random, acknowledge: Any) -> None:
    while True:
        study_id = storage.create_new_study([StudyDirection.MINIMIZE])
        acknowledge("study", study_id)
        for _ in range(numbers.randint(1, 6)):
            _write_trial(storage, study_id, numbers, acknowledge)
        if numbers.random() < 0.3:
            acknowledge("deleting", study_id)
            storage.delete_study(study_id)
            acknowledge("deleted", study_id)


def _write_trial(storage: GroupCommitStorage, study_id: int, numbers: random.Random, acknowledge: Any) -> None:
    with storage.transaction():  # the three writes are stored together or not at all
        trial_id = storage.create_new_trial(study_id)
        storage.set_trial_param(trial_id, "x", numbers.random(), RANGE)
        storage.set_trial_system_attr(trial_id, "lease", trial_id)
    acknowledge("trial", trial_id, study_id)
    for step in range(numbers.randint(0, 4)):
        value = numbers.random()
        storage.set_trial_intermediate_value(trial_id, step, value)
        acknowledge("report", trial_id, step, value)
    if numbers.random() < 0.8:
        value = numbers.random()
        storage.set_trial_state_values(trial_id, TrialState.COMPLETE, [value])
        acknowledge("complete", trial_id, value)
