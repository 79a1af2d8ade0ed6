"""Which packages the files of a user's code name."""

from pathlib import Path

import pytest

from workers.user_code.named_imports import MAX_BYTES, named_imports

FILES = {
    "mine.py": """
import os, numpy as np
import torch.nn.functional as F
from sklearn import svm
from helpers import load
from pkg import parts
try:
    import lightning
except ImportError:
    lightning = None


def objective(trial):
    import optuna

    def inner():
        import never_called

    if trial:
        from pandas import DataFrame


def other():
    import tensorflow


class Net:
    import einops

    def forward(self):
        import jax
""",
    "helpers.py": "import mine, scipy\n\n\ndef load():\n    import polars\n",
    "pkg/__init__.py": "from . import more\nfrom .. import nothing\n",
    "pkg/parts.py": "from .more import thing\nfrom .deep.last import x\nimport attrs\n",
    "pkg/more.py": "import requests\n",
    "pkg/deep/last.py": "import yaml\n",
    "wrong.py": "import torch\ndef (\n",
    "binary.py": "\0",
}


@pytest.fixture
def code(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (tmp_path / "pkg" / "deep" / "__init__.py").touch()
    return tmp_path


def test_files_name_what_they_import_when_they_are_imported_and_the_entrypoint_what_it_begins_with(code: Path) -> None:
    found = named_imports(code, ["mine:objective"])

    assert found[:2] == ["numpy", "torch.nn.functional"]
    assert set(found) == {
        *("numpy", "torch.nn.functional", "sklearn", "lightning", "einops", "optuna", "pandas"),
        *("scipy", "requests", "yaml", "attrs"),
    }


def test_several_entrypoints_count_together(code: Path) -> None:
    assert named_imports(code, ["helpers:load", "pkg.more:build"])[:3] == ["scipy", "polars", "requests"]


@pytest.mark.parametrize("entrypoint", ["wrong:f", "binary:f", "missing:f", "..:f", "a/b:f", "os.path:join", ":f"])
def test_what_cannot_be_read_names_nothing(code: Path, entrypoint: str) -> None:
    assert named_imports(code, [entrypoint]) == []


def test_a_file_that_is_too_large_is_not_read(code: Path) -> None:
    (code / "large.py").write_text("import torch\n" + "#" * MAX_BYTES)
    assert named_imports(code, ["large:f"]) == []
