"""Nothing but the final evaluation can read the test split: by imports and by calls.

That trials do without its files is in tests.acceptance.test_final_process, that they cannot report of it in
tests.integration.test_final_test_split.
"""

import ast
from collections.abc import Iterator

import grimp
import pytest

from tests.conftest import ROOT

READERS = {"workers/data/by_name.py", "workers/data/native_sets.py", "workers/data/torchvision_sets.py"}
"""They read either part, as their caller says."""


@pytest.fixture(scope="module")
def graph() -> grimp.ImportGraph:
    return grimp.build_graph("service", "storage", "workers", cache_dir=None)


def test_one_module_imports_the_test_split_and_one_imports_that(graph: grimp.ImportGraph) -> None:
    assert graph.find_modules_that_directly_import("workers.final_test.test_split") == {
        "workers.final_test.final_trial"
    }
    assert graph.find_modules_that_directly_import("workers.data.by_name") == {
        "workers.data.train_split",
        "workers.final_test.test_split",
    }


def test_the_processes_that_train_put_it_where_models_are_trained(graph: grimp.ImportGraph) -> None:
    """A worker's, and that of an own model or data set."""
    training = {"workers.loop.process", "workers.user_process.custom_parts.trainer"}
    assert graph.find_modules_that_directly_import("workers.final_test.final_trial") == training


def part_arguments() -> Iterator[tuple[str, str]]:
    """Every `train=` of a call on a worker: the file, and what is given."""
    for path in sorted((ROOT / "workers").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            for keyword in node.keywords if isinstance(node, ast.Call) else []:
                if keyword.arg == "train":
                    yield str(path.relative_to(ROOT)), ast.unparse(keyword.value)


def test_one_call_asks_for_the_test_part() -> None:
    asked = [(file, value) for file, value in part_arguments() if file not in READERS]
    fixed = [(file, value) for file, value in asked if value in ("True", "False")]
    assert sorted(fixed) == [("workers/data/train_split.py", "True"), ("workers/final_test/test_split.py", "False")]
    assert {value for file, value in part_arguments() if file in READERS} == {"train"}
