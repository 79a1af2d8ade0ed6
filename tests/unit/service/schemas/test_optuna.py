from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from service.schemas.optuna import distribution
from service.schemas.study.search_space import CategoricalParameter, FloatParameter, IntParameter


def test_ranges_are_as_the_service_samples_them() -> None:
    floats = {"type": "float", "low": 0.0, "high": 1.0, "step": 0.3}
    ints = {"type": "int", "low": 2, "high": 9, "step": 4}

    assert distribution(FloatParameter.model_validate(floats)) == FloatDistribution(0.0, 0.9, step=0.3)
    assert distribution(IntParameter.model_validate(ints)) == IntDistribution(2, 6, step=4)
    assert distribution(CategoricalParameter(type="categorical", choices=[1, None, "x"])) == CategoricalDistribution(
        [1, None, "x"]
    )
