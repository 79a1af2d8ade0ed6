"""TPE suggests less of what fails: trials that failed for their own sake are the worst to it."""

import pytest

from tests.integration.service_driver import Json, Service


@pytest.mark.parametrize("how", ["fail", "nan"])
def test_tpe_leaves_the_region_where_trials_fail_for_their_own_sake(service: Service, how: str) -> None:
    def n_late_failures(*, retry: bool) -> int:
        """Bigger is better, until the memory is full: of the last 20 trials, how many failed."""
        size: Json = {"type": "int", "low": 16, "high": 2048, "log": True}
        name = service.create(
            n_trials=60,
            search_space={"batch_size": size},
            objectives=[{"metric": "size", "direction": "maximize"}],
            training={"entrypoint": "mine.train:f"},
            sampler={"name": "tpe", "seed": 0},
            max_attempts=1,
            max_failures_in_a_row=60,
        )
        late = 0
        for number in range(60):
            (lease,) = service.claim(name, allow=["mine"], worker=f"worker-{number}")
            value = lease["params"]["batch_size"]
            if value <= 512:
                service.complete(lease, metrics={}, values=[value])
                continue
            late += number >= 40
            if how == "nan" and not retry:
                service.complete(lease, metrics={}, values=["nan"])
            else:
                service.fail(lease, "OutOfMemoryError: out of memory", retry=retry)
        return late

    assert n_late_failures(retry=False) < 0.75 * n_late_failures(retry=True)


@pytest.mark.parametrize("constraints", [[], [{"metric": "width", "max": 1500}]])
def test_tpe_leaves_the_region_of_failures_with_several_objectives_too(
    service: Service, constraints: list[Json]
) -> None:
    def n_late_failures(*, retry: bool) -> int:
        """Both objectives get better until the memory is full: of the last 40 trials, how many failed."""
        size: Json = {"type": "int", "low": 16, "high": 2048, "log": True}
        name = service.create(
            n_trials=100,
            search_space={"width": size, "batch_size": size},
            objectives=[
                {"metric": "accuracy", "direction": "maximize"},
                {"metric": "seconds", "direction": "minimize"},
            ],
            constraints=constraints,
            training={"entrypoint": "mine.train:f"},
            sampler={"name": "tpe", "seed": 0},
            max_attempts=1,
            max_failures_in_a_row=100,
        )
        late = 0
        for number in range(100):
            (lease,) = service.claim(name, allow=["mine"], worker=f"worker-{number}")
            width, batch_size = lease["params"]["width"], lease["params"]["batch_size"]
            if width * batch_size <= 2**16:
                values = [width / (width + 200), 1 / batch_size + width / 1e6]
                service.complete(lease, metrics={"width": width}, values=values)
            else:
                late += number >= 60
                service.fail(lease, "OutOfMemoryError: out of memory", retry=retry)
        return late

    assert n_late_failures(retry=False) < 0.6 * n_late_failures(retry=True)
