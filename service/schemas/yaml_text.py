"""Read a definition from YAML or JSON text.

Plain values follow the core schema of YAML 1.2 (https://yaml.org/spec/1.2.2/#103-core-schema), unlike PyYAML's own
loaders: `1e-6` is a number, `no` and `12:30` are strings. A definition needs no anchors, aliases or tags, no keys
other than distinct strings and no second document, so these are errors.
"""

import json
import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any

import yaml
from yaml.composer import Composer, ComposerError

SafeLoader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""libyaml reads the text where PyYAML was built with it."""
NodesInPython: Any = type(
    "NodesInPython", (SafeLoader,) if SafeLoader is yaml.SafeLoader else (Composer, SafeLoader), {}
)

MAX_DEPTH = 64
MAX_DIGITS = 400

PLAIN = re.compile(
    r"(?P<null>null|Null|NULL|~|)|(?P<bool>true|True|TRUE|false|False|FALSE)"
    r"|(?P<int>[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)"
    r"|(?P<float>[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))"
)
"""What an unquoted text is, by the name of the group; a text that does not match is a string."""
TAG = "tag:yaml.org,2002:"


class YamlError(ValueError):
    """The text is not YAML that a definition may have; the message is one line and names the line of the text.

    `line` is its number, from 1; None if no line is known.
    """

    def __init__(self, message: str, line: int | None = None) -> None:
        super().__init__(message)
        self.line = line


class _DefinitionLoader(NodesInPython):  # type: ignore[misc]
    """Builds nodes in Python from the parser's events, so that each one can be checked with its position."""

    def __init__(self, text: str) -> None:
        Composer.__init__(self)
        SafeLoader.__init__(self, text)
        self._depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event = self.peek_event()
        if isinstance(event, yaml.AliasEvent) or event.anchor is not None:
            raise _error(event.start_mark, "anchors and aliases are not read")
        if event.tag not in (None, "!"):
            raise _error(event.start_mark, f"tags are not read: {event.tag}")
        if self._depth > MAX_DEPTH:
            raise _error(event.start_mark, f"nested more than {MAX_DEPTH} levels deep")
        if event.tag == "!" and isinstance(event, yaml.ScalarEvent):
            event.implicit = (False, True)  # a string, as if it were quoted
        self._depth += 1
        node: yaml.Node | None = super().compose_node(parent, index)
        self._depth -= 1
        return node

    def resolve(self, kind: type[yaml.Node], value: str | None, implicit: Any) -> str:
        if kind is not yaml.ScalarNode:
            return f"{TAG}{'map' if kind is yaml.MappingNode else 'seq'}"
        found = PLAIN.fullmatch(value) if implicit[0] and value is not None else None
        return f"{TAG}{found.lastgroup if found else 'str'}"

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        mapping: dict[str, object] = {}
        for key_node, value_node in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                raise _error(key_node.start_mark, f"keys must be strings: {key!r}")
            if key in mapping:
                raise _error(key_node.start_mark, f"a key must not be listed twice: {key!r}")
            mapping[key] = self.construct_object(value_node, deep=deep)
        return mapping

    def construct_yaml_int(self, node: yaml.ScalarNode) -> int:
        return _integer(node.value)


_DefinitionLoader.add_constructor(f"{TAG}int", _DefinitionLoader.construct_yaml_int)


def load(text: str | bytes) -> object:
    """Return the value that a text holds: dictionaries, lists, strings, numbers, booleans or None.

    Raises YamlError.
    """
    try:
        text = text.decode() if isinstance(text, bytes) else text
        if text.lstrip().startswith("{"):
            with suppress(json.JSONDecodeError):  # some JSON is not YAML: with tabs, or with surrogate pairs
                return json.loads(text, object_pairs_hook=_distinct, parse_int=_integer)
        return yaml.load(text, _DefinitionLoader)
    except RecursionError as error:
        raise YamlError("nested too deep") from error
    except ComposerError as error:
        raise _error(error.problem_mark, "there must be one document only") from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise _error(mark, error.problem or error.context or "not valid") from error
    except (yaml.YAMLError, UnicodeError) as error:
        raise YamlError(f"not a text in UTF-8: {str(error).splitlines()[0]}") from error


def lines_of(text: str | bytes, fields: Iterable[str]) -> dict[str, int]:
    """The line of each dotted field in a text, from 1. A field that is missing has the line of the one that it is in.

    Empty for a text that is not YAML, and without the fields of which no part is in the text.
    """
    try:
        root = yaml.compose(text, _DefinitionLoader)
    except (YamlError, yaml.YAMLError, UnicodeError, RecursionError):
        return {}
    if root is None:
        return {}
    entries: dict[int, dict[str, tuple[int, yaml.Node]]] = {}
    found = ((field, _line(root, field.split("."), entries)) for field in fields)
    return {field: line for field, line in found if line is not None}


def _line(node: yaml.Node, names: Sequence[str], entries: dict[int, dict[str, tuple[int, yaml.Node]]]) -> int | None:
    """The line of the deepest part of a field that is there. `entries` has those of the nodes that were read before."""
    line = None
    while names:
        if id(node) not in entries:
            entries[id(node)] = _entries(node)
        known = entries[id(node)]
        n_names = next((n for n in range(len(names), 0, -1) if ".".join(names[:n]) in known), 0)  # names may have dots
        if n_names == 0:
            break
        line, node = known[".".join(names[:n_names])]
        names = names[n_names:]
    return line


def _entries(node: yaml.Node) -> dict[str, tuple[int, yaml.Node]]:
    """Line and node of each value in a mapping or a list, by its key or its index."""
    if isinstance(node, yaml.MappingNode):
        return {str(key.value): (key.start_mark.line + 1, value) for key, value in node.value}
    if isinstance(node, yaml.SequenceNode):
        return {str(index): (value.start_mark.line + 1, value) for index, value in enumerate(node.value)}
    return {}


def _distinct(pairs: list[tuple[str, object]]) -> dict[str, object]:
    mapping: dict[str, object] = {}
    for key, value in pairs:
        if key in mapping:
            raise YamlError(f"a key must not be listed twice: {key!r}")
        mapping[key] = value
    return mapping


def _integer(text: str) -> int:
    if len(text) > MAX_DIGITS:
        raise YamlError(f"a number of more than {MAX_DIGITS} digits: {text[:20]}…")
    return int(text, 0) if text.startswith(("0x", "0o")) else int(text)


def _error(mark: Any, message: str) -> YamlError:
    if mark is None:
        return YamlError(message)
    return YamlError(f"line {mark.line + 1}, column {mark.column + 1}: {message}", mark.line + 1)
