from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from service.conversion.draft import ConversionError, Given
from service.conversion.files import convert_file
from service.schemas import yaml_text as yaml_loader

Converted = Callable[..., dict[str, Any]]
Refused = Callable[..., list[str]]


@pytest.fixture
def text_of(tmp_path: Path) -> Callable[..., str]:
    """The text of the definition of a file with some content."""

    def text_of(content: str, file: str = "sweep.yaml", **given: Any) -> str:
        path = tmp_path / file
        path.write_text(content)
        return convert_file(path, Given(**given))

    return text_of


@pytest.fixture
def converted(text_of: Callable[..., str]) -> Converted:
    """The same, read back."""

    def converted(content: str, file: str = "sweep.yaml", **given: Any) -> dict[str, Any]:
        found = yaml_loader.load(text_of(content, file, **given))
        assert isinstance(found, dict)
        return found

    return converted


@pytest.fixture
def refused(text_of: Callable[..., str]) -> Refused:
    """The lines of the refusal."""

    def refused(content: str, file: str = "sweep.yaml", **given: Any) -> list[str]:
        with pytest.raises(ConversionError) as caught:
            text_of(content, file, **given)
        return caught.value.lines

    return refused
