"""Samplers of packages from the index, which `make install` does not install: BoTorch's, and that of the package cma.

Run them with `pip install optuna-integration botorch cma`.
"""

import importlib.util
from typing import Any

import pytest

from service.sampling.custom.custom_samplers import MEMORY_BYTES
from tests.integration.custom_samplers_driver import ServiceWithSamplers, claim
from tests.integration.service_driver import LEARNING_RATE, Json
from tests.skipping import skip_or_fail

pytestmark = [pytest.mark.processes, pytest.mark.slow]

SPACE: Json = {"learning_rate": LEARNING_RATE, "dropout": {"type": "float", "low": 0.0, "high": 0.5}}
N_TRIALS = 12
SAMPLERS: dict[str, tuple[str, Json]] = {
    "botorch": ("optuna_integration.botorch:BoTorchSampler", {"n_startup_trials": 4, "seed": 0}),
    "cma": ("optuna_integration.cma:PyCmaSampler", {"n_startup_trials": 2, "seed": 1}),
}


@pytest.mark.parametrize("package", SAMPLERS)
def test_a_sampler_of_a_package_searches(package: str, sqlite_url: str) -> None:
    for needed in ("optuna_integration", package):
        if importlib.util.find_spec(needed) is None:
            skip_or_fail(f"NO {needed}: pip install {needed}", "NARROWS_REQUIRE_SAMPLERS")
    entrypoint, options = SAMPLERS[package]
    with ServiceWithSamplers(sqlite_url, MEMORY_BYTES, allowed=["optuna_integration"]) as service:
        sampler: dict[str, Any] = {"entrypoint": entrypoint, "options": options}
        name = service.create(search_space=SPACE, sampler=sampler, n_trials=N_TRIALS)
        found = []
        for _ in range(N_TRIALS):
            (lease,) = claim(service, name)
            found.append(lease["params"]["dropout"])
            service.complete(lease, 1 - (found[-1] - 0.3) ** 2)

        assert service.study(name)["sampler_note"] is None
        assert len(set(found)) == N_TRIALS
        assert min(abs(dropout - 0.3) for dropout in found[4:]) < 0.1
