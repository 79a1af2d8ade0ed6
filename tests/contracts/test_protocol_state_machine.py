"""Random histories of many workers, lost answers, late calls and restarts: every answer is the one that is promised.

What must hold after every step is compared with a model of the protocol: the budget, one open lease for a trial at
most, a legal history of states, and every acknowledged report of the lease that finished a trial.
"""

import shutil
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    MultipleResults,
    RuleBasedStateMachine,
    invariant,
    multiple,
    precondition,
    rule,
)

from tests.contracts.protocol_model import FINISHED, LOWEST_VALUE, HeldLease, KnownTrial, Protocol
from tests.integration.service_driver import LEASE_SECONDS, Json, Service, problem_of

pytestmark = pytest.mark.slow

N_TRIALS = 4
MAX_ATTEMPTS = 3

values = st.sampled_from([0.05, 0.3, 0.6, 0.9])
lost_answers = st.booleans()
"""Whether the first answer is thrown away and the call is made again."""


@cache
def clean_database() -> bytes:
    """An empty database, made once: to make one takes longer than a history."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "narrows.db"
        with Service(f"sqlite:///{path}"):
            pass
        return path.read_bytes()


class Workers(RuleBasedStateMachine):
    claims = Bundle("claims")
    leases = Bundle("leases")

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        (self.folder / "narrows.db").write_bytes(clean_database())
        self.service = Service(f"sqlite:///{self.folder / 'narrows.db'}")
        pruner = {"name": "threshold", "lower": LOWEST_VALUE}
        self.name = self.service.create(n_trials=N_TRIALS, max_attempts=MAX_ATTEMPTS, pruner=pruner)
        self.model = Protocol(N_TRIALS, MAX_ATTEMPTS)
        self.params: dict[int, Json] = {}
        self.finished: dict[int, Json] = {}
        self.n_claims = 0
        self.has_news = False

    def teardown(self) -> None:
        try:
            self.drain()
        finally:
            self.service.__exit__(None, None, None)
            shutil.rmtree(self.folder)

    # What workers call

    def post(self, path: str, body: Json | None, lost: bool) -> Any:
        """An answer; with `lost` the second one to the same call, which must be the same."""
        first = self.service.http.post(f"/v1{path}", json=body)
        if not lost:
            return first
        again = self.service.http.post(f"/v1{path}", json=body)
        assert (again.status_code, again.json()) == (first.status_code, first.json())
        return again

    @rule(targets=(claims, leases), worker=st.integers(0, 4), max_trials=st.integers(1, 3), lost=lost_answers)
    def claim(self, worker: int, max_trials: int, lost: bool) -> MultipleResults[Any]:
        return multiple(*self.claimed(worker, max_trials, lost))

    def claimed(self, worker: int, max_trials: int, lost: bool) -> list[tuple[Json, HeldLease]]:
        self.n_claims += 1
        body = {"claim_id": f"claim-{self.n_claims}", "worker": {"id": f"worker-{worker}"}, "max_trials": max_trials}
        expected, retries = self.model.n_grantable(max_trials), self.model.retries()
        granted = self.post("/claims", {**body, "study": self.name}, lost).json()["leases"]
        assert len(granted) == expected
        numbers = [lease["trial_number"] for lease in granted]
        assert set(numbers[: len(retries)]) <= retries, "trials that are tried again come first"
        return [({**body, "study": self.name, "granted": numbers}, self.check_granted(lease)) for lease in granted]

    def check_granted(self, lease: Json) -> HeldLease:
        number = lease["trial_number"]
        held = self.model.grant(lease["lease_id"], number)
        checkpoint = self.model.trial_of(held).checkpoint
        assert lease["attempt"] == held.attempt
        assert lease["resume"] == (None if checkpoint is None else {"step": checkpoint, "artifact": "checkpoint"})
        assert lease["expires_in_seconds"] == LEASE_SECONDS
        assert self.params.setdefault(number, lease["params"]) == lease["params"], "the same trial, the same params"
        return held

    @rule(claim=claims)
    def claim_again(self, claim: tuple[Json, HeldLease]) -> None:
        body = {name: value for name, value in claim[0].items() if name != "granted"}
        again = self.post("/claims", body, lost=False).json()["leases"]
        assert sorted(lease["trial_number"] for lease in again) == sorted(claim[0]["granted"])
        for lease in again:
            held = self.model.leases[lease["lease_id"]]
            assert (lease["attempt"], lease["trial_number"]) == (held.attempt, held.number)
            assert lease["expires_in_seconds"] == (held.expires - self.model.now if held.is_open else 0.0)

    @rule(lease=leases, value=values, lost=lost_answers)
    def report(self, lease: tuple[Json, HeldLease], value: float, lost: bool) -> None:
        self.send([(lease[1], self.model.trial_of(lease[1]).next_step, value)], lost)

    @rule(lease=leases, value=values, data=st.data())
    def report_again(self, lease: tuple[Json, HeldLease], value: float, data: st.DataObject) -> None:
        """The same or other metrics at a step that may be known."""
        held = lease[1]
        step = data.draw(st.sampled_from(sorted(held.reports) or [0]), "step")
        known = held.reports.get(step)
        same = known is not None and data.draw(st.booleans(), "same metrics")
        self.send([(held, step, known[0] if known is not None and same else value)], lost=False)

    @rule(chosen=st.lists(leases, min_size=2, max_size=4, unique_by=lambda lease: lease[1].lease_id), value=values)
    def report_many(self, chosen: list[tuple[Json, HeldLease]], value: float) -> None:
        """Steps that were reported and steps that were not, of leases that are open and of some that are not."""
        items = [(held, min(held.reports, default=self.model.trial_of(held).next_step), value) for _, held in chosen]
        self.send(items, lost=True)

    def send(self, items: list[tuple[HeldLease, int, float]], lost: bool) -> None:
        reports = [
            {"lease_id": held.lease_id, "step": step, "metrics": {"validation_accuracy": value}}
            for held, step, value in items
        ]
        answer = self.post("/reports", {"reports": reports}, lost)
        if any(self.model.conflicts(*item) for item in items):
            assert problem_of(answer, 409)["code"] == "report_conflict"
            return
        assert answer.status_code == 200, answer.text
        assert [one["decision"] for one in answer.json()["decisions"]] == [self.model.report(*item) for item in items]

    @rule(chosen=st.lists(leases, min_size=1, max_size=4))
    def renew(self, chosen: list[tuple[Json, HeldLease]]) -> None:
        ids = [held.lease_id for _, held in chosen]
        renewed = self.post("/leases/renew", {"lease_ids": ids}, lost=True).json()["leases"]
        assert [one["alive"] for one in renewed] == [self.model.renew(held) for _, held in chosen]

    @rule(lease=leases, value=values, lost=lost_answers)
    def complete(self, lease: tuple[Json, HeldLease], value: float, lost: bool) -> None:
        self.end(lease[1], "complete", {"metrics": {"validation_accuracy": value}}, lost)

    @rule(lease=leases, retry=st.booleans(), lost=lost_answers)
    def fail(self, lease: tuple[Json, HeldLease], retry: bool, lost: bool) -> None:
        self.end(lease[1], "fail", {"reason": "it broke", "retry": retry}, lost)

    @rule(lease=leases, lost=lost_answers)
    def release(self, lease: tuple[Json, HeldLease], lost: bool) -> None:
        self.end(lease[1], "release", None, lost)

    def end(self, held: HeldLease, how: str, body: Json | None, lost: bool) -> None:
        answer = self.post(f"/leases/{held.lease_id}/{how}", body, lost)
        said = tuple(body["metrics"].items()) if how == "complete" and body else ()
        status, word = self.model.end(held, how, said, retry=bool(body and body.get("retry")))
        given = answer.json()["state"] if status == 200 else problem_of(answer, status)["code"]
        assert (answer.status_code, given) == (status, word)

    @rule(lease=leases)
    def keep_checkpoint(self, lease: tuple[Json, HeldLease]) -> None:
        held = lease[1]
        trial = self.model.trial_of(held)
        step = max(trial.curve, default=0)
        answer = self.service.http.put(f"/v1/artifacts/{held.lease_id}/checkpoint?step={step}", content=b"weights")
        if self.model.renew(held):
            assert answer.status_code == 200, answer.text
            trial.checkpoint = step
        else:
            problem_of(answer, 409)

    # What happens to them

    @rule(seconds=st.sampled_from([1.0, LEASE_SECONDS / 2, LEASE_SECONDS, 2 * LEASE_SECONDS]))
    def advance(self, seconds: float) -> None:
        self.service.clock.advance(seconds)
        self.model.advance(seconds)
        self.has_news = True  # the service learns what has expired by the next call

    @rule()
    def restart(self) -> None:
        self.service.study(self.name)  # what has expired until now has
        self.service.restart()
        self.model.restart()

    # What users call

    @precondition(lambda self: self.model.state != "finished")
    @rule(state=st.sampled_from(["paused", "running", "running", "stopped"]))
    def change_state(self, state: str) -> None:
        if state != "paused" or self.model.state != "stopped":
            self.service.change(self.name, state=state)
            if state == "stopped":
                self.model.stop()
            else:
                self.model.state = state

    @precondition(lambda self: self.model.n_trials < 2 * N_TRIALS)
    @rule(n_more=st.integers(1, 2))
    def extend(self, n_more: int) -> None:
        self.model.extend(n_more)
        self.service.change(self.name, n_trials=self.model.n_trials)

    @precondition(lambda self: self.model.state != "finished" and len(self.model.trials) < self.model.n_trials)
    @rule(learning_rate=st.sampled_from([0.01, 0.02]))
    def enqueue(self, learning_rate: float) -> None:
        params = {"learning_rate": learning_rate}
        answer = self.service.http.post(f"/v1/studies/{self.name}/trials", json={"params": params})
        assert (answer.status_code, answer.json()["number"]) == (201, len(self.model.trials))
        self.model.trials.append(KnownTrial())
        self.params[answer.json()["number"]] = params

    # What must hold

    @invariant()
    def everything_is_as_promised(self) -> None:
        self.model.settle()
        if self.has_news:
            self.has_news = False
            return
        assert self.service.study(self.name)["state"] == self.model.state
        trials = self.service.trials(self.name)
        assert [trial["number"] for trial in trials] == list(range(len(self.model.trials)))
        assert len(trials) <= self.model.n_trials
        for trial, known in zip(trials, self.model.trials, strict=True):
            assert trial["state"] == known.state
            assert trial["step"] == max(known.curve, default=None)
            outcomes = [(lease.lease_id, lease.attempt, lease.outcome) for lease in known.leases]
            assert [(one["lease_id"], one["attempt"], one["outcome"]) for one in trial["attempts"]] == outcomes
            assert sum(lease.is_open for lease in known.leases) == (known.state == "RUNNING")
            if known.state in FINISHED:
                kept = {name: trial[name] for name in ("state", "values", "reason", "finished_at", "params")}
                assert self.finished.setdefault(trial["number"], kept) == kept, "a finished trial changes no more"
        left = {held.lease_id: held.expires - self.model.now for held in self.model.open_leases()}
        book = self.service.app.state.registry.get(self.name).leases
        assert {lease.lease_id: book.remaining_seconds(lease.lease_id) for lease in book} == left

    def drain(self) -> None:
        """Let every trial end, and look at all that is left."""
        if self.model.state == "stopped":
            assert self.claimed(0, 3, lost=False) == []
        if self.model.state != "finished":
            self.change_state("running")
        for _ in range(2 * N_TRIALS * MAX_ATTEMPTS):
            for held in self.model.open_leases():
                self.complete(({}, held), 0.5, lost=True)
            if not self.claimed(0, 3, lost=False):
                break
        self.everything_is_as_promised()
        assert self.model.state == "finished"
        assert len(self.model.trials) == self.model.n_trials
        for number, known in enumerate(self.model.trials):
            curves = self.service.get(f"/studies/{self.name}/trials/{number}/curves")
            reported = dict(zip(curves["steps"], curves["metrics"].get("validation_accuracy", []), strict=True))
            assert reported == known.curve, "an acknowledged report is lost or doubled"
            finishing = known.leases[-1]
            if finishing.state == "WAITING":
                continue  # it ended with its study, between two attempts
            assert {step: value for step, (value, _) in finishing.reports.items()}.items() <= reported.items()


TestWorkers = Workers.TestCase
TestWorkers.settings = settings(
    max_examples=25,
    stateful_step_count=30,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
