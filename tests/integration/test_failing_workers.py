"""A study whose trials a machine cannot train: the others go on, and the study says what is wrong and since when."""

from tests.integration.service_driver import Service


def test_a_claim_gets_no_trial_of_studies_that_its_worker_leaves_out(service: Service) -> None:
    sick, well = service.create(), service.create()
    (lease,) = service.claim()
    assert lease["study"] == sick
    service.fail(lease, "no such folder: photos", retry=True)
    granted = service.claim(max_trials=10, except_studies=[sick])
    assert [lease["study"] for lease in granted] == [well] * 3
    assert service.claim(max_trials=10, except_studies=[sick]) == []
    assert service.claim(study=sick, except_studies=[sick]) == []
    assert service.claim(max_trials=10, except_studies=[sick], worker="third") == []
    said = service.study(sick)["waits_for"]
    assert said.startswith("no attempt of third and 1 more worker has succeeded since ")
    assert said.endswith(": it lacks a data set or a module, its log says which")
    assert [lease["study"] for lease in service.claim(max_trials=10, worker="other")] == [sick] * 3


def test_a_study_says_which_worker_cannot_train_it_since_when_and_why(service: Service) -> None:
    study = service.create(n_trials=1, max_attempts=9)
    assert service.study(study)["waits_for"] is None
    since = service.clock.now()
    for reason in ("no such folder: photos", "no such folder: photos; the end of its output:\nTraceback"):
        service.fail(service.claim_one(study), reason, retry=True)
        service.clock.advance(30)
    said = f"no attempt of worker has succeeded since {since:%Y-%m-%dT%H:%M:%SZ}: no such folder: photos"
    assert service.study(study)["waits_for"] == said
    lease = service.claim_one(study)
    assert service.study(study)["waits_for"] == said  # the next attempt may fail as well
    service.report(lease, 0)
    assert service.study(study)["waits_for"] is None


def test_nothing_is_said_of_a_failing_worker_while_another_one_trains_the_study(service: Service) -> None:
    study = service.create(n_trials=2)
    service.fail(service.claim_one(study), retry=True)
    (lease,) = service.claim(study, worker="other")
    assert service.study(study)["waits_for"] is None
    service.fail(lease, retry=True)
    assert "other and 1 more worker" in service.study(study)["waits_for"]


def test_a_trial_that_fails_for_its_own_sake_says_nothing_about_its_worker(service: Service) -> None:
    study = service.create()
    service.fail(service.claim_one(study), "train_loss is nan")
    assert service.study(study)["waits_for"] is None


def test_a_complete_trial_clears_its_worker(service: Service) -> None:
    study = service.create()
    service.fail(service.claim_one(study), retry=True)
    service.complete(service.claim_one(study))
    assert service.study(study)["waits_for"] is None
