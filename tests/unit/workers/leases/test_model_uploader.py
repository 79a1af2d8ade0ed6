from collections.abc import Iterator

import pytest

from tests.unit.workers.loop.loop_driver import Worker


def kept(worker: Worker) -> list[str]:
    return [path for path in worker.service.paths() if path.endswith("/model")]


def test_the_model_of_a_trial_that_violates_a_constraint_is_neither_saved_nor_the_best() -> None:
    worker = Worker(n_trials=4)
    worker.service.constraints = [{"metric": "n_parameters", "max": 100}]
    sizes: Iterator[tuple[float, float]] = iter([(0.9, 1000), (0.5, 10), (0.95, 101), (0.6, 100)])

    def final() -> dict[str, float]:
        value, size = next(sizes)
        return {"validation_accuracy": value, "n_parameters": size}

    worker.trainer.final = final
    worker.run(keep_models="best")

    assert kept(worker) == [f"artifacts/lease-{number}/model" for number in (1, 3)]


@pytest.mark.parametrize(("mode", "n_kept"), [("all", 1), ("none", 0)])
def test_constraints_do_not_matter_when_all_or_no_models_are_saved(mode: str, n_kept: int) -> None:
    worker = Worker(n_trials=1)
    worker.service.constraints = [{"metric": "n_parameters", "max": 100}]
    worker.trainer.final = lambda: {"validation_accuracy": 0.9, "n_parameters": 1000.0}
    worker.run(keep_models=mode)

    assert len(kept(worker)) == n_kept


@pytest.mark.parametrize(
    "error", [RuntimeError("Some tensors share memory"), OSError("no such file"), ValueError("no")]
)
def test_a_model_that_cannot_be_read_costs_its_trial_nothing(error: Exception) -> None:
    worker = Worker(n_trials=1)

    def model() -> bytes:
        raise error

    worker.trainer.model = model
    worker.run(keep_models="all")

    assert kept(worker) == []
    assert "leases/lease-0/complete" in worker.service.paths()
