from tests.unit.workers.fakes import problem
from tests.unit.workers.loop.loop_driver import Worker


def test_a_long_trial_is_checkpointed_at_intervals() -> None:
    worker = Worker()
    worker.trainer.n_epochs = 10
    worker.trainer.on_step = lambda _work: worker.time.sleep(4.0)
    worker.run(checkpoint_seconds=10.0)
    assert 1 <= len(worker.trainer.kept) <= 4
    assert worker.service.paths().count("artifacts/lease-0/checkpoint") == len(worker.trainer.kept)


def test_the_model_of_a_finished_trial_is_uploaded_before_it_completes() -> None:
    worker = Worker()
    worker.run(keep_models="best")
    paths = worker.service.paths()
    assert paths.index("artifacts/lease-0/model") < paths.index("leases/lease-0/complete")


def test_only_models_as_good_as_the_best_so_far_are_saved() -> None:
    worker = Worker(n_trials=4)
    values = iter([0.6, 0.5, 0.6, 0.7])
    worker.trainer.final = lambda: {"validation_accuracy": next(values)}
    worker.run(keep_models="best")
    kept = [path for path in worker.service.paths() if path.endswith("/model")]
    assert kept == [f"artifacts/lease-{number}/model" for number in (0, 2, 3)]


def test_the_tested_model_of_a_final_evaluation_is_saved_even_if_another_seed_was_better() -> None:
    worker = Worker(n_trials=3)
    worker.service.waiting[2]["test"] = True
    values = iter([0.6, 0.5, 0.5])
    worker.trainer.final = lambda: {"validation_accuracy": next(values)}
    worker.run(keep_models="best")
    kept = [path for path in worker.service.paths() if path.endswith("/model")]
    assert kept == [f"artifacts/lease-{number}/model" for number in (0, 2)]


def test_a_trial_completes_although_its_model_cannot_be_saved() -> None:
    worker = Worker()
    worker.service.answers["artifacts/lease-0/model"] = [problem(413, "too_large")]
    worker.run(keep_models="all")
    assert worker.ended() == ["leases/lease-0/complete"]
