"""What the README and the pages beside it say is so: definition, commands, size and links."""

import re
from pathlib import Path

import pytest
import yaml
from typer.main import get_command

from narrows.cli.main import app
from service.schemas import yaml_text as yaml_loader
from service.schemas.study.definition import Definition
from service.schemas.study.training import EPOCH_METRICS, FINAL_METRICS
from tests.conftest import ROOT

PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
README = "\n".join(path.read_text() for path in PAGES)
"""Everything that a user may read."""
MAX_README_BYTES = 8192


def test_the_definition_in_the_readme_holds_together() -> None:
    page = (ROOT / "docs" / "definition.md").read_text()
    (block,) = re.findall(r"```yaml\n(.*?)```", page, flags=re.DOTALL)
    Definition.model_validate(yaml_loader.load(block))


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_bytes()) <= MAX_README_BYTES


def anchors_of(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", [*PAGES, ROOT / "CONTRIBUTING.md"], ids=lambda page: page.name)
def test_every_link_leads_to_a_file_and_to_a_heading_of_it(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:|mailto:)([^)]+)\)", page.read_text())
    wrong = []
    for link in links:
        file, _, anchor = link.partition("#")
        target = page.parent / file if file else page
        if not target.exists() or (anchor and anchor not in anchors_of(target)):
            wrong.append(link)
    assert wrong == []


@pytest.mark.parametrize("name", sorted(path.name for path in (ROOT / "examples").glob("*.yaml")))
def test_every_example_holds_together(name: str) -> None:
    Definition.model_validate(yaml_loader.load((ROOT / "examples" / name).read_text()))


def test_every_command_that_the_readme_names_exists() -> None:
    commands = set(getattr(get_command(app), "commands", {}))
    named = set(re.findall(r"(?:`|bin/|^)narrows ([a-z]+)", README, flags=re.MULTILINE)) - {"serve"}
    assert named <= commands | {"serve"}


def test_every_make_target_that_the_readme_names_exists() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for target in set(re.findall(r"(?:`|^)make ([\w-]+)", README, flags=re.MULTILINE)):
        assert f"\n{target}:" in makefile


def test_every_metric_is_named() -> None:
    for metric in (*EPOCH_METRICS, *FINAL_METRICS):
        assert f"`{metric}`" in README


def test_the_variables_of_the_compose_file_are_explained() -> None:
    text = (ROOT / "docker-compose.yml").read_text()
    assert yaml.safe_load(text)["services"].keys() == {"postgres", "service", "worker", "worker-gpu"}
    for variable in set(re.findall(r"\$\{(\w+)", text)):
        assert variable in README, f"{variable} is not explained"


def test_every_path_that_a_recipe_names_exists() -> None:
    paths = set(re.findall(r"`([\w.-]+/[\w./-]*)`", (ROOT / "CONTRIBUTING.md").read_text()))
    assert len(paths) > 20
    assert sorted(path for path in paths if not (ROOT / path).exists()) == []


def test_every_name_that_a_recipe_finds_in_a_file_is_there() -> None:
    text = " ".join((ROOT / "CONTRIBUTING.md").read_text().split())
    named = re.findall(r"`([A-Za-z_]+)` in `([\w./-]+\.py)`", text)
    assert len(named) > 5
    assert [(name, path) for name, path in named if not re.search(rf"\b{name}\b", (ROOT / path).read_text())] == []
