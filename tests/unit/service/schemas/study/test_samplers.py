from typing import Any, get_args

import pytest

from service.pruning.pruners import CLASSES as PRUNER_CLASSES
from service.sampling.samplers import CLASSES as SAMPLER_CLASSES
from service.schemas.study.pruner_options import PrunerOptions
from service.schemas.study.pruners import AnyPruner
from service.schemas.study.sampler_options import SamplerOptions
from service.schemas.study.samplers import SAMPLERS, Auto, sampler_name

PRUNERS = get_args(AnyPruner)


@pytest.mark.parametrize(
    ("kind", "options"),
    [*((kind, SamplerOptions) for kind in SAMPLERS), *((kind, PrunerOptions) for kind in PRUNERS)],
)
def test_every_sampler_and_pruner_states_every_trait(kind: Any, options: Any) -> None:
    assert issubclass(kind, options)
    assert [trait for trait in sorted(options.__class_vars__) if not hasattr(kind, trait)] == []


@pytest.mark.parametrize("kind", PRUNERS)
def test_the_option_that_delays_pruning_is_one_of_the_pruner(kind: Any) -> None:
    assert kind.grace_option is None or kind.grace_option in kind.model_fields


def test_every_sampler_and_pruner_is_built() -> None:
    assert [sampler_name(kind) for kind in SAMPLERS if kind is not Auto] == list(SAMPLER_CLASSES)
    assert {kind.model_fields["name"].annotation.__args__[0] for kind in PRUNERS} == set(PRUNER_CLASSES)
