"""Imports go one way: workers → service.schemas and service.client, service → storage."""

import subprocess
import sys

import grimp
import pytest

from tests.conftest import ROOT

OURS = ("service", "storage", "workers")


@pytest.fixture(scope="module")
def graph() -> grimp.ImportGraph:
    return grimp.build_graph(*OURS, include_external_packages=True, cache_dir=None)


def imports(graph: grimp.ImportGraph, importer: str, imported: str) -> list[str]:
    """Every direct import of a package (or a module below it) by a package (or a module below it)."""
    found = graph.find_matching_direct_imports(import_expression=f"{importer}.** -> {imported}")
    below = [] if imported not in OURS else graph.find_matching_direct_imports(f"{importer}.** -> {imported}.**")
    return [f"{one['importer']} → {one['imported']}" for one in (*found, *below)]


@pytest.mark.parametrize(
    ("importer", "imported"),
    [
        ("workers", "storage"),
        ("workers", "optuna"),
        ("workers", "sqlalchemy"),
        ("workers", "fastapi"),
        ("workers", "starlette"),
        ("service", "workers"),
        ("service", "torch"),
        ("service", "torchvision"),
        ("service", "sklearn"),
        ("storage", "service"),
        ("storage", "workers"),
        ("storage", "fastapi"),
        ("storage", "torch"),
    ],
)
def test_a_package_leaves_alone_what_is_not_its_business(
    graph: grimp.ImportGraph, importer: str, imported: str
) -> None:
    assert imports(graph, importer, imported) == []


def test_workers_know_of_the_service_its_schemas_and_its_client_alone(graph: grimp.ImportGraph) -> None:
    wrong = [
        one
        for one in imports(graph, "workers", "service")
        if not one.partition(" → ")[2].startswith(("service.schemas", "service.client"))
    ]
    assert wrong == []


def test_the_graph_sees_the_imports_that_there_are(graph: grimp.ImportGraph) -> None:
    assert imports(graph, "service", "storage")
    assert imports(graph, "service", "fastapi")
    assert imports(graph, "workers", "service")
    assert imports(graph, "workers", "torch")
    assert imports(graph, "storage", "sqlalchemy")


def test_the_service_package_itself_is_empty() -> None:
    assert (ROOT / "service" / "__init__.py").read_text() == ""


@pytest.mark.parametrize(
    ("module", "unwanted"),
    [
        ("service.client", {"fastapi", "starlette", "optuna", "sqlalchemy", "torch", "numpy", "storage", "workers"}),
        ("service.schemas.protocol", {"fastapi", "starlette", "optuna", "sqlalchemy", "torch", "numpy", "httpx"}),
        ("workers.__main__", {"fastapi", "starlette", "optuna", "sqlalchemy", "storage", "torch"}),
        ("workers.loop.process", {"fastapi", "starlette", "optuna", "sqlalchemy", "storage"}),
        ("service.web.app", {"torch", "torchvision", "workers"}),
        ("narrows.cli.main", {"fastapi", "optuna", "sqlalchemy", "torch", "sklearn", "storage", "workers"}),
    ],
)
def test_a_module_loads_without_what_it_does_not_need(module: str, unwanted: set[str]) -> None:
    code = f"import sys, {module}; print(*sorted({{name.partition('.')[0] for name in sys.modules}}))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert set(loaded.stdout.split()) & unwanted == set()
