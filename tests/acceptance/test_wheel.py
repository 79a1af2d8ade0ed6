"""An installed Narrows in a project that has packages `service`, `storage` and `workers` of its own."""

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest

from tests.conftest import ROOT, clean_environment

pytestmark = pytest.mark.slow

SOURCES = ("pyproject.toml", "setup.py", "README.md", "examples", "narrows", "service", "storage", "workers")
PARTS = ("service", "storage", "workers")
TRAIN = """
import service, storage, workers

assert service.OWNER == storage.OWNER == workers.OWNER == "the user"


def objective(trial):
    x = trial.suggest_float("x", -1.0, 1.0)
    return x * x


def network(arguments):
    from torch import nn

    return nn.Sequential(nn.Flatten(), nn.Linear(arguments["n_inputs"], 10))
"""
STUDIES: dict[str, dict[str, Any]] = {
    "own-objective": {
        "objectives": [{"metric": "value", "direction": "minimize"}],
        "training": {"entrypoint": "train:objective"},
    },
    "own-model": {
        "search_space": {"learning_rate": {"type": "float", "low": 1e-3, "high": 1e-1, "log": True}},
        "training": {
            "dataset": "digits",
            "model": {"entrypoint": "train:network", "arguments": {"n_inputs": 64}},
            "epochs": 1,
        },
    },
}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel of a copy of the sources: building writes beside them."""
    folder = tmp_path_factory.mktemp("wheel")
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, folder / name)
    pip = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", "dist", "."]
    subprocess.run(pip, cwd=folder, check=True, capture_output=True)
    (built,) = (folder / "dist").glob("narrows-*.whl")
    return built


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user's folder with code that imports three packages of the user's own."""
    folder = tmp_path_factory.mktemp("project")
    for part in PARTS:
        (folder / part).mkdir()
        (folder / part / "__init__.py").write_text('OWNER = "the user"\n')
    (folder / "train.py").write_text(TRAIN)
    return folder


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The programs' folder of a new environment: the wheel, and every package that this environment has."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=False)
    purelib = Path(sysconfig.get_path("purelib", vars={"base": str(folder), "platbase": str(folder)}))
    outer = [path for path in sys.path if path.endswith("site-packages")]
    (purelib / "outer.pth").write_text("\n".join(outer) + "\n")
    python = str(folder / "bin" / "python")
    pip = [sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "--no-index", str(wheel)]
    subprocess.run(pip, check=True, capture_output=True)
    yield folder / "bin"
    shutil.rmtree(folder)


def run(installed: Path, project: Path, program: str, *arguments: str, **environment: str) -> str:
    """What a program of the environment prints, run in the user's project."""
    known = clean_environment(**environment)
    known["PATH"] = f"{installed}{os.pathsep}{known['PATH']}"
    command = [str(installed / program), *arguments]
    ran = subprocess.run(command, cwd=project, env=known, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def test_a_wheel_has_one_package(wheel: Path) -> None:
    with ZipFile(wheel) as archive:
        names = archive.namelist()
        metadata = next(name for name in names if name.endswith("/top_level.txt"))
        assert archive.read(metadata).decode().split() == ["narrows"]
    assert {name.partition("/")[0] for name in names if ".dist-info/" not in name} == {"narrows"}
    files = {"py.typed", "examples/digits.yaml", "storage/migrations/env.py", "html_report/templates/report.html"}
    files |= {f"service/web/pages/{file}" for file in ("templates/shell.html", "static/main.js", "static/lib/dom.js")}
    assert {f"narrows/{file}" for file in files} <= set(names)


def test_the_public_names_are_there_beside_packages_of_the_users_own(installed: Path, project: Path) -> None:
    code = (
        "import narrows, service, workers; from narrows import Client, ClientError, load_definition, load_model; "
        "print(narrows.__file__, service.OWNER, workers.OWNER, issubclass(ClientError, Exception), load_model.__name__)"
    )
    printed = run(installed, project, "python", "-c", code)
    assert printed.startswith(str(installed.parent))
    assert printed.endswith("the user the user True load_model\n")


def test_the_demo_ends_well_in_the_users_project(installed: Path, project: Path, free_port: int) -> None:
    printed = run(installed, project, "narrows", "demo", NARROWS_PORT=str(free_port), TMPDIR=str(project))
    assert re.search(r"accuracy 0\.\d+ \(95 % interval", printed)
    assert [path.name for path in project.iterdir() if path.suffix == ".db"] == []


@pytest.mark.parametrize("arguments", [("--list",), ("mnist-dropout", "--quick")])
def test_published_experiments_need_a_checkout(installed: Path, project: Path, arguments: tuple[str, ...]) -> None:
    command = [str(installed / "narrows"), "experiment", *arguments]
    ran = subprocess.run(command, cwd=project, env=clean_environment(), capture_output=True, text=True, check=False)
    assert ran.returncode == 1
    assert ran.stderr.startswith("narrows: the published experiments need a checkout of the repository: ")
    assert len(ran.stderr.splitlines()) == 1


def test_a_full_installation_without_pytorch_serves_and_says_what_a_worker_needs(
    wheel: Path, project: Path, free_port: int, tmp_path: Path
) -> None:
    """Every package of it comes from the package index, so none is there by chance."""
    python = tmp_path / "environment" / "bin" / "python"
    venv.create(tmp_path / "environment", with_pip=False)
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet"]
    subprocess.run([*pip, "-c", str(ROOT / "constraints.txt"), str(wheel)], check=True, capture_output=True)

    programs, database = python.parent, f"sqlite:///{tmp_path / 'narrows.db'}"
    environment = clean_environment(NARROWS_PORT=str(free_port), NARROWS_DATABASE=database)
    serve = [str(programs / "narrows"), "serve"]
    with subprocess.Popen(serve, cwd=project, env=environment, stdout=subprocess.PIPE) as service:
        try:
            assert service.stdout is not None
            assert service.stdout.readline().startswith(b"Narrows is ready")
            given = ["narrows", "submit", "digits.yaml", "--server", f"http://127.0.0.1:{free_port}"]
            (project / "digits.yaml").write_text((ROOT / "examples" / "digits.yaml").read_text())
            assert "digits" in run(programs, project, *given)
        finally:
            service.terminate()
    worker = subprocess.run(
        [str(programs / "narrows"), "worker"], env=clean_environment(), capture_output=True, text=True, check=False
    )
    assert (worker.returncode, worker.stdout) == (1, "")
    assert worker.stderr == "narrows: training needs PyTorch: pip install 'narrows[worker]'\n"


@pytest.mark.parametrize("name", STUDIES)
def test_a_trial_imports_the_users_own_packages(installed: Path, project: Path, free_port: int, name: str) -> None:
    database = f"sqlite:///{project / name}.db"
    url = f"http://127.0.0.1:{free_port}"
    environment = {"NARROWS_PORT": str(free_port), "NARROWS_DATABASE": database, "NARROWS_SERVER": url}
    serve = [str(installed / "narrows"), "serve"]
    with subprocess.Popen(serve, cwd=project, env=clean_environment(**environment), stdout=subprocess.PIPE) as service:
        try:
            assert service.stdout is not None
            assert service.stdout.readline().startswith(b"Narrows is ready")
            definition = {"name": name, "pruner": "none", "n_trials": 1, **STUDIES[name]}
            (project / f"{name}.json").write_text(json.dumps(definition))
            run(installed, project, "narrows", "submit", f"{name}.json", **environment)
            worker = ["worker", "--allow=train", "--code=.", "--processes=1", "--devices=cpu", "--exit-when-idle=0.5"]
            run(installed, project, "narrows", *worker, **environment)
            (best,) = json.loads(run(installed, project, "narrows", "best", name, "--json", **environment))["trials"]
            assert best["state"] == "COMPLETE"
            run(installed, project, "narrows", "report", name, "--out", f"{name}-page", **environment)
            assert "<!DOCTYPE html>" in (project / f"{name}-page" / "index.html").read_text()
        finally:
            service.terminate()
