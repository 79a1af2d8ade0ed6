"""Narrowing rounds that the definition asks for, on each database, across a restart."""

from tests.integration.narrowing_driver import SPACE, create, finish, is_inside, narrow, rounds, run, value_of
from tests.integration.service_driver import LEASE_SECONDS, Service


def test_each_round_is_sampled_from_ranges_around_the_best_so_far(each_service: Service) -> None:
    name = create(each_service)
    run(each_service, name, 18)

    assert each_service.study(name)["state"] == "finished"
    first, *later = rounds(each_service, name)
    assert [one["round"] for one in (first, *later)] == [1, 2, 3]
    assert [one["first_trial"] for one in (first, *later)] == [0, 6, 12]
    assert [one["n_trials"] for one in (first, *later)] == [6, 6, 6]
    assert first["ranges"]["learning_rate"] | {"verdict": "", "note": ""} == {
        "low": 1e-5,
        "high": 0.1,
        "log": True,
        "share": 1.0,
        "verdict": "",
        "note": "",
    }
    trials = each_service.trials(name)
    for one in later:
        assert set(one["ranges"]) == {"learning_rate", "dropout"}
        best = sorted(trials[: one["first_trial"]], key=lambda trial: (-trial["values"][0], trial["number"]))[:2]
        assert one["kept"] == [trial["number"] for trial in best]
        assert all(is_inside(trial["params"], one["ranges"]) for trial in best)
        own = trials[one["first_trial"] : one["first_trial"] + one["n_trials"]]
        assert all(is_inside(trial["params"], one["ranges"]) for trial in own)
        assert one["best"] == max(trial["values"][0] for trial in own)
        assert (one["requested_by"], one["keep_top"], one["margin"]) == ("narrowing", 2, 0.1)
    assert later[-1]["ranges"]["learning_rate"]["share"] < 0.7
    assert len({trial["params"]["batch_size"] for trial in trials[12:]}) > 2


def test_minimizing_closes_in_on_the_smallest(service: Service) -> None:
    objectives = [{"metric": "validation_loss", "direction": "minimize"}]
    name = create(service, objectives=objectives)
    for _ in range(6):
        lease = service.claim_one(name)
        service.complete(lease, metrics={"validation_loss": -value_of(lease["params"])})
    best = min(service.trials(name), key=lambda trial: trial["values"][0])
    assert rounds(service, name)[1]["kept"][0] == best["number"]


def test_a_round_begins_when_all_trials_of_the_last_one_have_ended(service: Service) -> None:
    name = create(service)
    leases = service.claim(name, max_trials=18)
    assert len(leases) == 6  # no more, though there are 18 trials to come
    for lease in leases[1:]:
        finish(service, lease)
    assert service.claim(name) == []
    assert len(rounds(service, name)) == 1

    service.clock.advance(LEASE_SECONDS + 1)  # the last one's worker has died
    (again,) = service.claim(name, max_trials=18)
    assert (again["trial_number"], again["attempt"]) == (leases[0]["trial_number"], 2)
    finish(service, again)

    assert len(rounds(service, name)) == 2
    assert len(service.claim(name, max_trials=18)) == 6


def test_pruned_and_failed_trials_end_a_round_but_are_not_kept(service: Service) -> None:
    name = create(service, pruner={"name": "threshold", "lower": 0.0})
    leases = service.claim(name, max_trials=6)
    service.fail(leases[0])
    assert service.report(leases[1], 0, -1.0) == "prune"
    service.complete(leases[2], "nan")
    for lease in leases[3:]:
        finish(service, lease)

    second = rounds(service, name)[1]
    assert second["first_trial"] == 6
    assert set(second["kept"]) <= {lease["trial_number"] for lease in leases[3:]}


def test_with_fewer_complete_trials_than_keep_top_the_ranges_stay(service: Service) -> None:
    name = create(service)
    leases = service.claim(name, max_trials=6)
    for lease in leases[1:]:
        service.fail(lease)
    finish(service, leases[0])

    first, second = rounds(service, name)
    assert second["note"] == "1 complete trials, and keep_top is 2"
    assert second["kept"] == []
    assert {key: one["low"] for key, one in second["ranges"].items()} == {
        key: one["low"] for key, one in first["ranges"].items()
    }
    run(service, name, 6)
    assert rounds(service, name)[2]["note"] is None


def test_a_range_whose_best_lies_at_its_edge_stays_and_says_so(service: Service) -> None:
    name = create(service, enqueue=[{"learning_rate": 1e-5, "dropout": 0.2}])
    best = service.claim_one(name)
    service.complete(best, 5.0)
    run(service, name, 5)

    second = rounds(service, name)[1]["ranges"]["learning_rate"]
    assert (second["low"], second["high"], second["verdict"]) == (1e-5, 0.1, "kept")
    assert "should be widened" in second["note"]
    assert rounds(service, name)[1]["ranges"]["dropout"]["verdict"] == "shrunk"


def test_a_parameter_that_some_trials_lack_closes_in_on_those_that_have_it(service: Service) -> None:
    momentum = {"type": "float", "low": 0.0, "high": 0.99, "when": {"optimizer": ["sgd"]}}
    optimizer = {"type": "categorical", "choices": ["sgd", "adam"]}
    name = create(service, search_space={**SPACE, "optimizer": optimizer, "momentum": momentum}, n_trials=60)
    run(service, name, 18)

    found = rounds(service, name)
    kept = [service.trial(name, number)["params"] for number in found[1]["kept"]]
    having = [params["momentum"] for params in kept if "momentum" in params]
    after = found[1]["ranges"]["momentum"]
    assert all(after["low"] <= value <= after["high"] for value in having)
    assert having or after["note"] == "no kept trial has this parameter"
    for trial in service.trials(name)[12:18]:
        momentum_range = found[2]["ranges"]["momentum"]
        value = trial["params"].get("momentum")
        assert value is None or momentum_range["low"] <= value <= momentum_range["high"]


def test_what_n_trials_has_more_and_what_it_is_extended_by_belong_to_the_last_round(service: Service) -> None:
    name = create(service, n_trials=20)
    run(service, name, 20)
    assert service.study(name)["state"] == "finished"
    service.change(name, n_trials=25)
    run(service, name, 5)

    found = rounds(service, name)
    assert [one["n_trials"] for one in found] == [6, 6, 13]
    assert all(is_inside(trial["params"], found[2]["ranges"]) for trial in service.trials(name)[12:])


def test_a_paused_study_goes_on_with_the_next_round(service: Service) -> None:
    name = create(service)
    leases = service.claim(name, max_trials=6)
    service.change(name, state="paused")
    for lease in leases:
        finish(service, lease)
    assert len(rounds(service, name)) == 1

    service.change(name, state="running")

    assert len(rounds(service, name)) == 2
    assert is_inside(service.claim_one(name)["params"], rounds(service, name)[1]["ranges"])


def test_a_study_that_has_reached_its_target_begins_no_round(service: Service) -> None:
    name = create(service, target_value=2.0)
    leases = service.claim(name, max_trials=6)
    for lease in leases:
        service.complete(lease, 3.0)
    assert service.study(name)["state"] == "finished"
    assert len(rounds(service, name)) == 1


def test_what_a_user_enqueues_outside_of_a_rounds_ranges_is_tried(service: Service) -> None:
    name = create(service)
    run(service, name, 6)
    second = rounds(service, name)[1]["ranges"]
    assert second["learning_rate"]["high"] < 0.1 or second["learning_rate"]["low"] > 1e-5
    outside = 0.1 if second["learning_rate"]["high"] < 0.1 else 1e-5
    service.http.post(f"/v1/studies/{name}/trials", json={"params": {"learning_rate": outside}})

    lease = service.claim_one(name)

    assert lease["params"]["learning_rate"] == outside
    assert second["dropout"]["low"] <= lease["params"]["dropout"] <= second["dropout"]["high"]
    finish(service, lease)
    run(service, name, 5)
    assert len(rounds(service, name)) == 3


def test_importances_compare_the_trials_of_all_rounds(service: Service) -> None:
    name = create(service)
    run(service, name, 18)
    assert set(service.get(f"/studies/{name}/importance")["importances"]) == set(SPACE)


def test_a_round_is_told_in_the_event_stream(service: Service) -> None:
    name = create(service)
    run(service, name, 5)
    start = service.http.get("/v1/events", params={"follow": False})
    before = start.text.rpartition("id: ")[2].split("\n")[0]
    run(service, name, 1)

    events = [event for event in service.events_after(before, study=name) if event.type == "round_begun"]
    assert [event.data["round"] for event in events] == [2]
    assert "learning_rate: " in events[0].data["reason"]


# A restart


def test_a_service_that_starts_again_samples_from_the_same_round(fresh_service: Service) -> None:
    name = create(fresh_service)
    run(fresh_service, name, 6)
    held = fresh_service.claim_one(name)
    before = rounds(fresh_service, name)

    fresh_service.restart()

    assert rounds(fresh_service, name) == before
    leases = fresh_service.claim(name, max_trials=10)
    assert len(leases) == 5
    assert all(is_inside(lease["params"], before[1]["ranges"]) for lease in leases)
    for lease in (held, *leases):
        finish(fresh_service, lease)
    assert [one["first_trial"] for one in rounds(fresh_service, name)] == [0, 6, 12]
    fresh_service.restart()
    run(fresh_service, name, 6)
    assert fresh_service.study(name)["state"] == "finished"
    last = rounds(fresh_service, name)[2]["ranges"]
    assert all(is_inside(trial["params"], last) for trial in fresh_service.trials(name)[12:])


def test_a_trial_of_an_earlier_round_is_tried_again_as_it_was(fresh_service: Service) -> None:
    name = create(fresh_service, narrowing=None)
    run(fresh_service, name, 6)
    old = fresh_service.claim_one(name)
    assert narrow(fresh_service, name, keep_top=2).status_code == 201
    fresh_service.restart()
    fresh_service.clock.advance(LEASE_SECONDS + 1)

    again = fresh_service.claim_one(name)
    assert (again["trial_number"], again["params"]) == (old["trial_number"], old["params"])
    finish(fresh_service, again)
    assert is_inside(fresh_service.claim_one(name)["params"], rounds(fresh_service, name)[1]["ranges"])
