"""Final evaluations that fail, end, or live through a restart."""

from storage import Commit
from tests.integration.final_driver import SCORE, begin, complete, evaluated, final_of, post, searched
from tests.integration.service_driver import Service, code_of


def test_failed_seeds_are_left_out(service: Service) -> None:
    name = searched(service)
    begin(service, name, top_k=2, n_seeds=2)
    for value in (0.9, None, None, None):
        lease = service.claim_one(name)
        if value is None:
            service.fail(lease, "diverged")
        else:
            service.complete(lease, value)

    final = final_of(service, name)

    assert final["winner"] == 1
    assert [one["confirmed_values"] for one in final["candidates"]] == [[0.9], []]
    assert final["distinguishable"] is None
    assert final["candidates"][1]["confirmed_mean"] is None


def test_without_any_confirmation_it_fails_and_may_begin_again(service: Service) -> None:
    name = searched(service)
    begin(service, name, top_k=1, n_seeds=2)
    for lease in service.claim(name, max_trials=2):
        service.fail(lease, "no such file")

    failed = final_of(service, name)

    assert (failed["state"], failed["failure"]) == ("failed", "no configuration could be confirmed: no such file")
    assert failed["test_said"] is None
    again = begin(service, name)
    assert (again["number"], again["forced"]) == (2, False)
    assert [earlier["state"] for earlier in again["earlier"]] == ["failed"]


def test_a_test_that_fails_ends_it_with_the_reason(service: Service) -> None:
    name = searched(service)
    begin(service, name, top_k=1, n_seeds=1)
    service.complete(service.claim_one(name))
    service.fail(service.claim_one(name), "data set mnist cannot be read")

    failed = final_of(service, name)

    assert failed["failure"] == "the test split was not evaluated: data set mnist cannot be read"
    assert failed["state"] == "failed"
    assert failed["winner"] == 1
    assert [attempt["outcome"] for attempt in failed["test_attempts"]] == ["fail"]


def test_a_worker_that_dies_at_the_test_is_seen_in_the_record(service: Service) -> None:
    name = searched(service)
    begin(service, name, top_k=1, n_seeds=1)
    service.complete(service.claim_one(name))
    lost = service.claim_one(name)
    service.clock.advance(61)

    again = service.claim_one(name)
    assert (again["seed"], again["params"], again["training"]) == (lost["seed"], lost["params"], lost["training"])
    assert again["test"]
    assert code_of(complete(service, lost, **SCORE), 409) == "lease_lost"
    assert complete(service, again, **SCORE).status_code == 200

    record = final_of(service, name)
    assert [attempt["outcome"] for attempt in record["test_attempts"]] == ["expire", "complete"]


def test_the_record_is_written_once_and_does_not_change(each_service: Service) -> None:
    name = searched(each_service)
    record = evaluated(each_service, name)
    lease = {"lease_id": record["test_attempts"][0]["lease_id"]}

    assert complete(each_service, lease, **SCORE).status_code == 200
    assert code_of(complete(each_service, lease, **{**SCORE, "test_accuracy": 0.99}), 409) == "lease_closed"
    assert each_service.claim(name) == []
    each_service.restart()

    assert final_of(each_service, name) == record
    assert post(each_service, name).status_code == 200


def test_a_restart_changes_nothing_wherever_it_comes(fresh_service: Service) -> None:
    service = fresh_service
    name = searched(service)
    service.restart()
    begin(service, name, top_k=2, n_seeds=1)
    service.restart()
    leases = service.claim(name, max_trials=5)
    assert len(leases) == 2
    service.restart()
    service.complete(leases[0], 0.8)
    service.restart()
    service.complete(leases[1], 0.9)
    ranked = final_of(service, name)
    service.restart()
    assert final_of(service, name) == ranked
    test = service.claim_one(name)
    service.restart()
    assert service.claim(name) == []
    assert complete(service, test, **SCORE).status_code == 200
    service.restart()
    record = final_of(service, name)
    assert record["state"] == "complete"
    assert record["winner"] == 2
    assert (record["trials_done"], record["trials_total"]) == (3, 3)


def test_the_record_and_the_end_of_its_trial_are_one_transaction(sqlite_service: Service) -> None:
    service = sqlite_service
    name = searched(service)
    begin(service, name, top_k=1, n_seeds=1)
    service.complete(service.claim_one(name))
    lease = service.claim_one(name)
    commits: list[Commit] = []
    service.store.add_commit_listener(commits.append)

    assert complete(service, lease, **SCORE).status_code == 200

    (commit,) = [commit for commit in commits if commit.n_rows]
    assert [note.type for note in commit.notes] == ["trial_completed", "study_finished"]
