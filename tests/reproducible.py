"""Every run of the tests draws the same random numbers, so that none fails by chance.

`pytest --hypothesis-profile=explore` looks for new examples.
"""

import random
import sys

import pytest
from hypothesis import settings

settings.register_profile("reproducible")
settings.register_profile("explore", derandomize=False)
settings.load_profile("reproducible")


@pytest.fixture(autouse=True)
def same_random_numbers() -> None:
    """Seed every shared generator that is loaded."""
    random.seed(0)
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed(0)
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(0)
