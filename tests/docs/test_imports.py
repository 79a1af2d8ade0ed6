"""Who may import whom: between the parts, and between the rooms of one part.

A room is a folder or a file directly in a part. Inside a part a room imports only rooms of lower floors.
"""

import subprocess
import sys

import grimp
import pytest

from tests.conftest import ROOT

OURS = ("narrows", "service", "storage", "workers")

FLOORS = {
    "service": (
        {"web"},
        {"leases"},
        {"finals"},
        {"registry"},
        {"imports", "rounds"},
        {"diagnosis", "results"},
        {"study"},
        {"pruning"},
        {"sampling", "events", "access", "client"},
        {"schemas", "logs", "errors", "clock"},
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
        {"store", "stock"},
        {"trials"},
        {"database"},
        {"writing"},
        {"tables", "blobs"},
        {"batch", "records", "errors", "migrate", "optuna_seam"},
    ),
    "narrows": ({"__init__"}, {"cli"}, {"experiments"}, {"conversion", "html_report"}, {"errors"}),
}
"""Rooms of each part, the top floor first."""

DOORS = {
    "narrows.cli.serve": ("service.web", "storage"),
    "narrows.cli.imports": ("storage", "storage.stock"),
    "narrows.cli.trials": ("storage", "storage.stock"),
    "narrows": ("workers.saved.files",),
    "narrows.cli.worker": ("workers",),
    "narrows.experiments.saved": ("workers",),
}
"""What modules of `narrows` import beside the service's schemas and client."""


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


def room_of(module: str) -> str:
    _, _, inside = module.partition(".")
    return inside.partition(".")[0] or "__init__"


@pytest.mark.parametrize("part", FLOORS)
def test_inside_a_part_every_import_runs_down(graph: grimp.ImportGraph, part: str) -> None:
    floor_of = {room: floor for floor, rooms in enumerate(reversed(FLOORS[part])) for room in rooms}
    modules = [module for module in graph.modules if module.partition(".")[0] == part]
    assert {room_of(module) for module in modules} - {"__init__"} == set(floor_of) - {"__init__"}
    pairs = [
        (module, imported)
        for module in modules
        for imported in graph.find_modules_directly_imported_by(module)
        if imported.partition(".")[0] == part and room_of(module) != room_of(imported)
    ]
    assert pairs
    wrong = [f"{one} → {other}" for one, other in pairs if floor_of[room_of(one)] <= floor_of[room_of(other)]]
    assert sorted(wrong) == []


def test_the_service_sees_of_the_storage_its_face_alone(graph: grimp.ImportGraph) -> None:
    wrong = [one for one in imports(graph, "service", "storage") if one.partition(" → ")[2] != "storage"]
    assert wrong == []


def test_what_a_user_runs_goes_into_the_other_parts_by_its_doors(graph: grimp.ImportGraph) -> None:
    public = ("service.schemas", "service.client")
    wrong = [
        f"{module} → {imported}"
        for module in graph.modules
        if module.partition(".")[0] == "narrows"
        for imported in graph.find_modules_directly_imported_by(module)
        if imported.partition(".")[0] in OURS[1:]
        and not imported.startswith(public)
        and not any(
            imported == door or (door != "storage" and imported.startswith(f"{door}."))
            for door in DOORS.get(module, ())
        )
    ]
    assert sorted(wrong) == []


def test_the_client_needs_of_ours_the_schemas_alone(graph: grimp.ImportGraph) -> None:
    wrong = [
        f"{module} → {imported}"
        for module in graph.modules
        if module.startswith("service.client")
        for imported in graph.find_modules_directly_imported_by(module)
        if imported.partition(".")[0] in OURS and not imported.startswith(("service.client", "service.schemas"))
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


def test_the_service_package_itself_is_empty() -> None:
    assert (ROOT / "service" / "__init__.py").read_text() == ""


@pytest.mark.processes
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
