"""A definition as YAML with comments, for people and for service.schemas.yaml_text."""

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from service.conversion.draft import HEAD
from service.schemas import yaml_text

WIDTH = 118
SECTIONS = ("search_space", "training")
"""Fields with one line for each of their parts."""


def text_of(definition: Mapping[str, Any], notes: Mapping[str, Sequence[str]], origin: str) -> str:
    """Return the definition as text, with each note above the field that it explains."""
    lines = _comments([f"From {origin}", *notes.get(HEAD, ())], "")
    placed = {HEAD}
    for field, value in definition.items():
        lines += _comments(notes.get(field, ()), "")
        placed.add(field)
        if field not in SECTIONS:
            lines.append(f"{field}: {flow(value)}")
            continue
        parts = [f"{field}.{name}" for name in value]
        loose = [
            note for place in notes if place.startswith(f"{field}.") and place not in parts for note in notes[place]
        ]
        lines += [*_comments(loose, ""), f"{field}:" if value else f"{field}: {{}}"]
        placed.update(place for place in notes if place.startswith(f"{field}."))
        for name, part in value.items():
            lines += _comments(notes.get(f"{field}.{name}", ()), "  ")
            lines.append(f"  {flow(name)}: {flow(part)}")
    left = [note for place in notes if place not in placed for note in notes[place]]
    return "\n".join([*_comments(left, ""), *lines, ""])


def _comments(notes: Sequence[str], indent: str) -> list[str]:
    lines = []
    for note in notes:
        printable = "".join(character if character.isprintable() else " " for character in note)
        lines += textwrap.wrap(printable, WIDTH, initial_indent=f"{indent}# ", subsequent_indent=f"{indent}#   ")
    return lines


class _Dumper(yaml.SafeDumper):
    """Quotes strings that YAML 1.2 would read as another type, and writes no aliases."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _represent_string(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    node: yaml.ScalarNode = dumper.represent_scalar("tag:yaml.org,2002:str", text)
    try:
        plain = yaml_text.load(text) == text
    except yaml_text.YamlError:
        plain = False
    return node if plain else dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"')


_Dumper.add_representer(str, _represent_string)


def flow(value: Any) -> str:
    """Return a value as YAML in one line."""
    shown = yaml.dump(
        value, Dumper=_Dumper, default_flow_style=True, width=float("inf"), allow_unicode=True, sort_keys=False
    )
    return str(shown).removesuffix("\n").removesuffix("\n...")
