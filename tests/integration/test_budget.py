"""Fifty workers at once, some of which die: exactly n_trials, all finished, and no configuration twice."""

import itertools
import os
import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from tests.integration.service_driver import LEASE_SECONDS, Json, Service
from tests.waiting import PATIENCE_SECONDS

N_WORKERS = 50
N_TRIALS = 120
FINISHED = ("COMPLETE", "PRUNED", "FAIL")
SMALL = {
    "nesterov": {"type": "categorical", "choices": [True, False]},
    "batch_size": {"type": "int", "low": 16, "high": 48, "step": 16},
    "dropout": {"type": "float", "low": 0.0, "high": 0.3, "step": 0.1},
}
N_SMALL = 2 * 3 * 4
SAMPLERS = ("random", "tpe", "nsgaii", "qmc", "cmaes", "grid", "brute_force", "auto")


@pytest.fixture
def seed() -> int:
    seed = int(os.environ.get("NARROWS_TEST_SEED", time.time_ns() % 2**32))
    print(f"seed {seed}: set NARROWS_TEST_SEED to repeat it")
    return seed


class Worker:
    """Claims and trains until its study has ended. Now and then it falls silent, gives up, or repeats itself."""

    def __init__(self, service: Service, study: str, seed: int, number: int) -> None:
        self._service = service
        self._study = study
        self._numbers = random.Random(seed * N_WORKERS + number)
        self._name = f"worker-{number}"
        self.completed: dict[int, tuple[str, float]] = {}
        """Lease and value that were answered with COMPLETE, by trial."""
        self.reported: dict[str, list[int]] = {}
        """Acknowledged steps by lease."""

    def run(self) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            leases = self._service.claim(self._study, self._numbers.randint(1, 2), self._name)
            for lease in leases:
                self._work_on(lease)
            if not leases:
                if self._service.study(self._study)["state"] == "finished":
                    return
                self._service.clock.advance(LEASE_SECONDS / 20)  # somebody may be dead: time passes

    def _work_on(self, lease: Json) -> None:
        fate = self._numbers.choices(["die", "release", "fail", "retry", "complete"], [10, 10, 5, 10, 65])[0]
        for step in range(self._numbers.randint(1, 3)):
            if self._often(partial(self._service.report, lease, step, step / 10)) != "continue":
                return
            self.reported.setdefault(lease["lease_id"], []).append(step)
        if fate == "die":
            return
        if fate == "complete":
            self._complete(lease)
        elif fate == "release":
            self._often(lambda: self._end(lease, "release", None))
        else:
            self._often(lambda: self._end(lease, "fail", {"reason": "it broke", "retry": fate == "retry"}))

    def _complete(self, lease: Json) -> None:
        value = self._numbers.random()
        status = self._often(lambda: self._end(lease, "complete", {"metrics": {"validation_accuracy": value}}))
        if status == 200:
            assert lease["trial_number"] not in self.completed
            self.completed[lease["trial_number"]] = (lease["lease_id"], value)

    def _end(self, lease: Json, how: str, body: Json | None) -> int:
        status: int = self._service.http.post(f"/v1/leases/{lease['lease_id']}/{how}", json=body).status_code
        assert status in (200, 409)
        return status

    def _often(self, call: Callable[[], Any]) -> Any:
        """The first answer to a call that is now and then made again."""
        answer = call()
        if self._numbers.random() < 0.2:
            call()
        return answer


def work(service: Service, study: str, seed: int, n_workers: int) -> list[Worker]:
    """Let workers work until the study has ended."""
    workers = [Worker(service, study, seed, number) for number in range(n_workers)]
    threads = [threading.Thread(target=worker.run) for worker in workers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return workers


def all_trials(service: Service, study: str) -> list[Json]:
    trials = service.trials(study, limit=1000)
    assert len(trials) < 1000
    return trials


def test_fifty_workers_finish_exactly_n_trials(fresh_service: Service, seed: int) -> None:
    name = fresh_service.create(n_trials=N_TRIALS, max_attempts=3)

    workers = work(fresh_service, name, seed, N_WORKERS)

    assert fresh_service.study(name)["state"] == "finished"
    trials = all_trials(fresh_service, name)
    assert [trial["number"] for trial in trials] == list(range(N_TRIALS))
    assert {trial["state"] for trial in trials} <= set(FINISHED)
    for trial in trials:
        check_attempts(trial)
    completed = [item for worker in workers for item in worker.completed.items()]
    assert len(completed) == len(dict(completed)), "a trial was completed twice"
    assert fresh_service.counts(name)["COMPLETE"] == len(completed)
    steps = {lease_id: steps for worker in workers for lease_id, steps in worker.reported.items()}
    for number, (lease_id, value) in completed:
        assert trials[number]["values"] == [value]
        assert trials[number]["attempts"][-1]["lease_id"] == lease_id
        assert fresh_service.get(f"/studies/{name}/trials/{number}/curves")["steps"] == steps[lease_id]
    print(Counter(attempt["outcome"] for trial in trials for attempt in trial["attempts"]))


def check_attempts(trial: Json) -> None:
    """One after another, numbered from 1, and at most as many as are allowed; a release is none."""
    attempts = trial["attempts"]
    for earlier, later in itertools.pairwise(attempts):
        assert earlier["ended_at"] <= later["started_at"], "a trial was under two leases at a time"
        assert later["attempt"] == earlier["attempt"] + (earlier["outcome"] != "release")
    assert attempts[0]["attempt"] == 1
    assert attempts[-1]["attempt"] <= 3


@pytest.fixture(params=SAMPLERS)
def sampler(request: pytest.FixtureRequest) -> Json:
    return {"name": request.param, "seed": 0}


def test_no_configuration_is_handed_out_twice_while_untried_ones_are_left(
    service: Service, sampler: Json, seed: int
) -> None:
    enqueued = [{"batch_size": 16}, {}, {"nesterov": True, "batch_size": 32, "dropout": 0.1}]
    name = service.create(n_trials=N_SMALL, search_space=SMALL, sampler=sampler, enqueue=enqueued, max_attempts=9)

    work(service, name, seed, 8)

    trials = all_trials(service, name)
    assert len(trials) == N_SMALL
    tried = Counter(tuple(sorted(trial["params"].items())) for trial in trials)
    assert set(tried.values()) == {1}, tried.most_common(3)
