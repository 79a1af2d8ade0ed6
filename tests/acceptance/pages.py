"""What stands in the code blocks of a page of docs/."""

import re

from service.schemas import yaml_text as yaml_loader
from service.schemas.study.definition import Definition
from tests.conftest import ROOT


def page(name: str) -> str:
    return (ROOT / "docs" / name).read_text()


def definitions_of(text: str) -> list[Definition]:
    """The study definitions, which are all of its YAML."""
    blocks = re.findall(r"```yaml\n(.*?)```", text, flags=re.DOTALL)
    return [Definition.model_validate(yaml_loader.load(block)) for block in blocks]


def files_of(text: str, languages: str = "python") -> list[tuple[str, str]]:
    """Name and content of each block that begins with a file's name; `languages` is a regular expression."""
    return re.findall(rf"```(?:{languages})\n# (\S+)\n(.*?)```", text, flags=re.DOTALL)
