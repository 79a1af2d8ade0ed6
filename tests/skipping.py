"""Skip a test for what this machine lacks, or fail it where nothing may be missing."""

import os
from typing import NoReturn

import pytest


def skip_or_fail(reason: str, require: str) -> NoReturn:
    """Skip with the reason, or fail where the variable `require` says that nothing may be missing."""
    if os.environ.get(require) == "1":
        pytest.fail(f"{reason}, and {require}=1")
    pytest.skip(f"{reason} (with {require}=1 this is a failure)")
