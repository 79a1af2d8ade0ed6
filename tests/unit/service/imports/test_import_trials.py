"""The digest of an import: equal imports have one, and other threads go on while it is made."""

import hashlib
import json
from typing import Any

import pytest

from service.imports.import_trials import import_digest
from service.schemas.imports import NewImport
from tests.steps import measured_steps
from tests.turns import unit_seconds

PARAMS = {f"p{index}": "c1" for index in range(30)}


def new_import(n_trials: int, **changes: Any) -> NewImport:
    trial = {"values": ["nan"], "params": PARAMS, "constraints": {"ü": 1.5}}
    return NewImport.model_validate({"source": "elsewhere", "trials": [trial] * n_trials, **changes})


@pytest.mark.parametrize("n_trials", [1, 3])
@pytest.mark.parametrize("defaults", [{}, {"a": "]}", "trials": 1}])
def test_a_digest_is_that_of_the_whole_import_as_json(n_trials: int, defaults: dict[str, Any]) -> None:
    new = new_import(n_trials, defaults=defaults)

    text = json.dumps(new.model_dump(mode="json"), sort_keys=True)
    assert import_digest(new) == hashlib.sha256(text.encode()).hexdigest()


def test_other_threads_go_on_while_the_digest_of_a_large_import_is_made() -> None:
    new = new_import(10_000)

    with measured_steps() as steps:
        import_digest(new)

    assert steps.longest < unit_seconds(), steps.name
