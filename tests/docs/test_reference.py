"""docs/reference-*.md are what `make docs-reference` writes, and hold every field and every setting."""

import re

import pytest

from docs.reference import PAGES, SECTIONS, definition_page, members, settings_page
from narrows.cli.settings import SETTINGS, Setting
from service.schemas.study.definition import Definition
from tests.conftest import ROOT


def in_one_line(page: str) -> str:
    return re.sub(r"\s+", " ", page)


@pytest.mark.parametrize("name", PAGES)
def test_a_committed_page_is_what_the_generator_writes(name: str) -> None:
    committed = (ROOT / "docs" / name).read_text()
    assert committed == PAGES[name](), f"docs/{name} is out of date: run `make docs-reference`"


def test_every_schema_below_a_definition_has_a_section() -> None:
    shown = [member.__name__ for schema in SECTIONS.values() for member in members(schema)]
    below = Definition.model_json_schema()["$defs"].keys() - {"JsonValue"}
    assert sorted(shown) == sorted({"Definition", *below})


@pytest.mark.parametrize("heading", SECTIONS)
def test_a_section_shows_every_field_of_its_schemas(heading: str) -> None:
    section = definition_page().partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    shown = [*re.findall(r"^- `(\w+)`: (?:.|\n  )*?(?:required|default\s.*|`\w+`)\.$", section, re.MULTILINE)]
    fields = [name for member in members(SECTIONS[heading]) for name in member.model_fields]
    assert sorted(shown) == sorted(fields)


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
def test_a_setting_is_shown_with_flag_variable_default_and_meaning(setting: Setting) -> None:
    start = f"- `{setting.flag}`, `{setting.environment}`: "
    assert settings_page().count(start) == 1
    shown = in_one_line(settings_page().partition(start)[2].partition("\n- ")[0].partition("\n#")[0])
    value = str(setting.default).lower() if setting.kind is bool else str(setting.default)
    assert f"default {setting.default_text or f'`{value}`'}" in shown
    assert setting.unit in shown
    assert setting.help in shown
