"""Which package may import which, among the four top-level packages and inside each of them.

A top-level package is divided into layers. A layer is a set of subpackages, or of modules directly in the top-level
package. Each of them imports only those of lower layers.
"""

import ast
import subprocess
import sys

import grimp
import pytest

from tests.conftest import ROOT

PACKAGES = ("narrows", "service", "storage", "workers")

LAYERS = {
    "service": (
        {"web"},
        {"leases"},
        {"finals"},
        {"registry"},
        {"imports", "rounds"},
        {"diagnosis", "results"},
        {"study"},
        {"pruning"},
        {"sampling", "events", "access", "client", "conversion"},
        {"logs"},
        {"schemas", "errors", "clock", "process_limits"},
    ),
    "workers": (
        {"__main__"},
        {"loop"},
        {"user_code"},
        {"leases", "user_process"},
        {"scheduling"},
        {"saved"},
        {"lanes", "final_test"},
        {"models"},
        {"training", "data", "faults"},
        {"sinks", "fleet", "options", "scratch", "errors"},
    ),
    "storage": (
        {"__init__"},
        {"store", "optuna_databases"},
        {"trials"},
        {"database"},
        {"writing"},
        {"tables", "blobs"},
        {"batch", "records", "errors", "migrate", "optuna_seam", "waiting_rule", "json_text"},
    ),
    "narrows": ({"__init__"}, {"cli"}, {"experiments"}, {"html_report"}, {"errors"}),
}
"""The layers of each package, the top one first. `__init__` is the package's own module."""

ALLOWED_EXCEPTIONS = {
    "narrows.cli.convert": ("service.conversion",),
    "narrows.cli.serve": ("service.web", "storage"),
    "narrows.cli.import_sources": ("storage", "storage.optuna_databases"),
    "narrows.cli.trials": ("storage", "storage.optuna_databases"),
    "narrows": ("workers.saved.files", "workers.user_process.reporting"),
    "narrows.cli.worker": ("workers",),
    "narrows.experiments.saved": ("workers",),
}
"""What single modules of `narrows` import although only the service's schemas and client are open to all of them."""


@pytest.fixture(scope="module")
def graph() -> grimp.ImportGraph:
    return grimp.build_graph(*PACKAGES, include_external_packages=True, cache_dir=None)


def imports(graph: grimp.ImportGraph, importer: str, imported: str) -> list[str]:
    """Every direct import of a package (or a module below it) by a package (or a module below it)."""
    found = graph.find_matching_direct_imports(import_expression=f"{importer}.** -> {imported}")
    below = [] if imported not in PACKAGES else graph.find_matching_direct_imports(f"{importer}.** -> {imported}.**")
    return [f"{one['importer']} → {one['imported']}" for one in (*found, *below)]


@pytest.mark.parametrize(
    ("importer", "imported"),
    [
        ("workers", "storage"),
        ("workers", "optuna"),
        ("workers", "sqlalchemy"),
        ("workers", "fastapi"),
        ("workers", "starlette"),
        ("service", "narrows"),
        ("workers", "narrows"),
        ("storage", "narrows"),
        ("narrows", "torch"),
        ("narrows", "sqlalchemy"),
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
def test_a_package_does_not_import_what_it_must_not_depend_on(
    graph: grimp.ImportGraph, importer: str, imported: str
) -> None:
    assert imports(graph, importer, imported) == []


def test_workers_import_of_the_service_its_schemas_and_its_client_alone(graph: grimp.ImportGraph) -> None:
    wrong = [
        one
        for one in imports(graph, "workers", "service")
        if not one.partition(" → ")[2].startswith(("service.schemas", "service.client"))
    ]
    assert wrong == []


def member_of(module: str) -> str:
    """The subpackage that a module is in, or its own name if it is directly in the top-level package."""
    _, _, inside = module.partition(".")
    return inside.partition(".")[0] or "__init__"


@pytest.mark.parametrize("package", LAYERS)
def test_inside_a_package_every_import_is_of_a_lower_layer(graph: grimp.ImportGraph, package: str) -> None:
    layer_of = {member: layer for layer, members in enumerate(reversed(LAYERS[package])) for member in members}
    modules = [module for module in graph.modules if module.partition(".")[0] == package]
    assert {member_of(module) for module in modules} - {"__init__"} == set(layer_of) - {"__init__"}
    pairs = [
        (module, imported)
        for module in modules
        for imported in graph.find_modules_directly_imported_by(module)
        if imported.partition(".")[0] == package and member_of(module) != member_of(imported)
    ]
    assert pairs
    wrong = [f"{one} → {other}" for one, other in pairs if layer_of[member_of(one)] <= layer_of[member_of(other)]]
    assert sorted(wrong) == []


def test_the_service_imports_the_public_api_of_the_storage_alone(graph: grimp.ImportGraph) -> None:
    wrong = [one for one in imports(graph, "service", "storage") if one.partition(" → ")[2] != "storage"]
    assert wrong == []


def test_narrows_imports_schemas_and_client_of_the_service_and_the_allowed_exceptions(
    graph: grimp.ImportGraph,
) -> None:
    public = ("service.schemas", "service.client")
    wrong = [
        f"{module} → {imported}"
        for module in graph.modules
        if module.partition(".")[0] == "narrows"
        for imported in graph.find_modules_directly_imported_by(module)
        if imported.partition(".")[0] in PACKAGES[1:]
        and not imported.startswith(public)
        and not any(
            imported == allowed or (allowed != "storage" and imported.startswith(f"{allowed}."))
            for allowed in ALLOWED_EXCEPTIONS.get(module, ())
        )
    ]
    assert sorted(wrong) == []


def test_the_client_imports_of_these_packages_the_schemas_alone(graph: grimp.ImportGraph) -> None:
    wrong = [
        f"{module} → {imported}"
        for module in graph.modules
        if module.startswith("service.client")
        for imported in graph.find_modules_directly_imported_by(module)
        if imported.partition(".")[0] in PACKAGES and not imported.startswith(("service.client", "service.schemas"))
    ]
    assert wrong == []


def test_code_in_a_users_process_stands_alone(graph: grimp.ImportGraph) -> None:
    """It imports the standard library, and for a model that is kept PyTorch and safetensors."""
    known = {*sys.stdlib_module_names, "torch", "safetensors"}
    plain = [
        module
        for module in graph.modules
        if module.startswith("workers.user_process.") and not module.startswith("workers.user_process.custom_parts")
    ]
    assert plain
    wrong = [
        f"{module} → {imported}"
        for module in plain
        for imported in graph.find_modules_directly_imported_by(module)
        if imported not in plain and imported.partition(".")[0] not in known
    ]
    assert wrong == []


def test_the_graph_sees_the_imports_that_there_are(graph: grimp.ImportGraph) -> None:
    assert imports(graph, "service", "storage")
    assert imports(graph, "service", "fastapi")
    assert imports(graph, "workers", "service")
    assert imports(graph, "workers", "torch")
    assert imports(graph, "storage", "sqlalchemy")


def test_the_service_package_itself_imports_nothing() -> None:
    [docstring] = ast.parse((ROOT / "service" / "__init__.py").read_text()).body
    assert isinstance(docstring, ast.Expr)


@pytest.mark.processes
@pytest.mark.parametrize(
    ("module", "unwanted"),
    [
        ("service.client", {"fastapi", "starlette", "optuna", "sqlalchemy", "torch", "numpy", "storage", "workers"}),
        ("service.schemas.protocol", {"fastapi", "starlette", "optuna", "sqlalchemy", "torch", "numpy", "httpx"}),
        ("workers.__main__", {"fastapi", "starlette", "optuna", "sqlalchemy", "storage", "torch"}),
        ("workers.loop.process", {"fastapi", "starlette", "optuna", "sqlalchemy", "storage"}),
        ("workers.data.by_name", {"torchvision", "sklearn", "scipy"}),
        ("service.web.app", {"torch", "torchvision", "workers"}),
        ("narrows.cli.main", {"fastapi", "httpx", "optuna", "sqlalchemy", "torch", "sklearn", "storage", "workers"}),
    ],
)
def test_a_module_loads_without_what_it_does_not_need(module: str, unwanted: set[str]) -> None:
    code = f"import sys, {module}; print(*sorted({{name.partition('.')[0] for name in sys.modules}}))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert set(loaded.stdout.split()) & unwanted == set()
