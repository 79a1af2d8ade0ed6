"""Tests wait with patience: a limit on a wait is PATIENCE_SECONDS, so a busy machine does not fail them."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]
HTTPX = {"get", "post", "put", "patch", "delete", "request", "stream", "Client", "AsyncClient"}
"""The names in httpx that take a limit, which is 5 seconds unless it is given."""


def impatient(text: str) -> Iterator[str]:
    """The calls in a Python text that wait with a short limit.

    They are httpx without one, any with a number as `timeout`, and `finish` with a number above 0.
    """
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.Call):
            continue
        limits = [keyword.value for keyword in node.keywords if keyword.arg == "timeout"]
        of_httpx = (
            isinstance(node.func, ast.Attribute)
            and isinstance(node.func.value, ast.Name)
            and node.func.value.id == "httpx"
            and node.func.attr in HTTPX
        )
        in_process = any(keyword.arg in ("transport", "app") for keyword in node.keywords)
        if isinstance(node.func, ast.Attribute) and node.func.attr == "finish" and len(node.args) == 1:
            limits += [one for one in node.args if not (isinstance(one, ast.Constant) and one.value == 0)]
        is_short = any(isinstance(one, ast.Constant) and one.value is not None for one in limits)
        if is_short or (of_httpx and not limits and not in_process):
            yield f"line {node.lineno}: {ast.unparse(node)}"


def test_no_test_waits_with_a_short_limit() -> None:
    found = [f"{path.relative_to(TESTS)} {one}" for path in TESTS.rglob("*.py") for one in impatient(path.read_text())]
    assert found == []


@pytest.mark.parametrize(
    ("text", "n_found"),
    [
        ("httpx.get(url)", 1),
        ("httpx.get(url, timeout=PATIENCE_SECONDS)", 0),
        ("httpx.Client(base_url=url, timeout=30.0)", 1),
        ("httpx.Client(transport=transport)", 0),
        ("process.communicate(timeout=10)", 1),
        ("process.communicate(timeout=None)", 0),
        ("errands.finish(30.0)", 1),
        ("errands.finish(PATIENCE_SECONDS)", 0),
        ("output.finish(0.0)", 0),
    ],
)
def test_a_short_limit_is_found(text: str, n_found: int) -> None:
    assert len(list(impatient(text))) == n_found
