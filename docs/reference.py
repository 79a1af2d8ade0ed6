"""Write the two generated pages from the schemas and the settings table: `python -m docs.reference`."""

import ast
import inspect
import json
import re
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin

from pydantic import BaseModel, TypeAdapter

from narrows.cli.settings import SETTINGS, Setting
from service.schemas.study.constraints import Constraint
from service.schemas.study.data import AnyDataset
from service.schemas.study.definition import Definition
from service.schemas.study.definition_fields import Confirmation, Narrowing, Objective, Patience
from service.schemas.study.models import AnyModel, ConvBlock
from service.schemas.study.pruner_options import PrunerOptions
from service.schemas.study.pruners import AnyPruner
from service.schemas.study.sampler_options import SamplerOptions
from service.schemas.study.samplers import AnySampler
from service.schemas.study.search_space import Parameter
from service.schemas.study.training import EarlyStopping, Schedule
from service.schemas.study.user_training import AnyTraining

WIDTH = 120
TYPES = {"string": "string", "number": "number", "integer": "whole number", "boolean": "true or false", "null": "null"}
SECTIONS: Mapping[str, Any] = {
    "Study": Definition,
    "Objective": Objective,
    "Constraint": Constraint,
    "Parameter": Parameter,
    "Training": AnyTraining,
    "Data set": AnyDataset,
    "Model": AnyModel,
    "Convolution block": ConvBlock,
    "Schedule": Schedule,
    "Early stopping": EarlyStopping,
    "Sampler": AnySampler,
    "Pruner": AnyPruner,
    "Patience": Patience,
    "Narrowing": Narrowing,
    "Confirmation": Confirmation,
}
"""The headings of the page, and the schemas below each of them."""
TRAITS: Mapping[str, type[BaseModel]] = {"Sampler": SamplerOptions, "Pruner": PrunerOptions}
SCALAR = {"string", "integer", "number", "boolean", "null"}
SIZES = {"Items": "entries", "Properties": "entries", "Length": "characters"}
DEFINITION_INTRODUCTION = """\
# Reference: every field of a study definition

[A study definition](definition.md) explains how the fields work together. This page is generated from the schemas:
`make docs-reference` writes it. An unknown field is an error. "Scalar" stands for a string, a number, `true`,
`false` or `null`."""
SETTINGS_INTRODUCTION = """\
# Reference: every setting of the service, the workers and the commands

A flag wins over its environment variable, and the variable wins over the default. This page is generated from the
table of settings: `make docs-reference` writes it."""


def definition_page() -> str:
    """The page of every field of a study definition. Raises KeyError for a schema that no section holds."""
    section_of = {member.__name__: heading for heading, schema in SECTIONS.items() for member in members(schema)}
    blocks = [DEFINITION_INTRODUCTION]
    for heading, schema in SECTIONS.items():
        classes = list(members(schema))
        blocks.append(f"## {heading}")
        if heading in TRAITS:
            blocks.append(_traits(TRAITS[heading], classes))
        for member in classes:
            if len(classes) > 1:
                blocks.append(f"### {heading}: {_title(member)}")
            blocks.append(_wrapped(_sentence(inspect.getdoc(member) or ""), ""))
            blocks.append("\n".join(_fields(member, section_of)))
    return "\n\n".join(block for block in blocks if block) + "\n"


def settings_page() -> str:
    """The page of every setting: its flag, environment variable, default, commands and meaning."""
    groups: dict[str, list[Setting]] = {"Service": [], "Workers": [], "Several commands": []}
    for setting in SETTINGS:
        several = "best" in setting.commands or {"serve", "worker"} <= set(setting.commands)
        groups["Several commands" if several else "Service" if "serve" in setting.commands else "Workers"].append(
            setting
        )
    blocks = [SETTINGS_INTRODUCTION]
    for heading, settings in groups.items():
        blocks += [f"## {heading}", "\n".join(_setting(setting) for setting in settings)]
    return "\n\n".join(blocks) + "\n"


PAGES = {"reference-definition.md": definition_page, "reference-settings.md": settings_page}


def members(schema: Any) -> Iterator[type[BaseModel]]:
    """The models of a union, in order."""
    if isinstance(schema, type) and issubclass(schema, BaseModel):
        yield schema
        return
    arguments = get_args(schema)
    for one in arguments[:1] if get_origin(schema) is Annotated else arguments:
        yield from members(one)


def _title(member: type[BaseModel]) -> str:
    """What tells a model from the others of its union: its `name` or `type`, or the field that runs custom code."""
    for field in member.model_fields.values():
        constants = get_args(field.annotation)
        if len(constants) == 1 and isinstance(constants[0], str):
            return f"`{constants[0]}`"
    return next((f"with `{name}`" for name in ("entrypoint", "command") if name in member.model_fields), "built in")


def _fields(member: type[BaseModel], section_of: Mapping[str, str]) -> Iterator[str]:
    schema = member.model_json_schema()
    for name, node in sorted(schema["properties"].items(), key=lambda item: "const" not in item[1]):
        if "const" in node:
            yield f"- `{name}`: `{node['const']}`."
            continue
        has_default = name not in schema.get("required", ())
        rule = "; ".join([*_rules(node), f"default {_default(member, name)}" if has_default else "required"])
        head = _wrapped(f"- `{name}`: {_type(node, section_of)}; {rule}.", "  ")
        yield f"{head}\n{_wrapped('  ' + _sentence(node['description']), '  ')}"


def _type(node: Mapping[str, Any], section_of: Mapping[str, str]) -> str:
    if "$ref" in node:
        target = node["$ref"].rpartition("/")[2]
        if target == "JsonValue":
            return "any JSON value"
        heading = section_of[target]
        return f"[{heading.lower()}](#{heading.lower().replace(' ', '-')})"
    if "enum" in node:
        return " or ".join(f"`{value}`" for value in node["enum"])
    if "const" in node:
        return f"`{node['const']}`"
    members_of_union = [*node.get("anyOf", ()), *node.get("oneOf", ())]
    if {one.get("type") for one in members_of_union} == SCALAR:
        return "scalar"
    if members_of_union:
        return " or ".join(dict.fromkeys(_type(one, section_of) for one in members_of_union))
    if node.get("type") == "array":
        return f"list of {_type(node['items'], section_of)}"
    if node.get("type") == "object":
        return f"object of {_type(node['additionalProperties'], section_of)}"
    return TYPES[node["type"]]


def _rules(node: Mapping[str, Any]) -> list[str]:
    rules = [_bounds(*(node.get(key) for key in ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")))]
    for key, unit in SIZES.items():
        size = _bounds(node.get(f"min{key}"), node.get(f"max{key}"))
        rules += [f"{size} {unit}"] if size else []
    for one in (*node.get("anyOf", ()), *node.get("oneOf", ())):
        rules += _rules(one)
    if node.get("type") == "array":
        rules += [f"each entry {rule}" for rule in _rules(node["items"])]
    return list(dict.fromkeys(rule for rule in rules if rule))


def _bounds(low: float | None, high: float | None, above: float | None = None, below: float | None = None) -> str:
    if low is not None and high is not None:
        return f"{_number(low)} to {_number(high)}"
    bounds = {"at least": low, "above": above, "at most": high, "below": below}
    return " and ".join(f"{words} {_number(bound)}" for words, bound in bounds.items() if bound is not None)


def _number(value: float) -> str:
    exponent = int(abs(value)).bit_length() - 1
    if exponent > 20 and abs(value) == 2**exponent:
        return f"{'-' if value < 0 else ''}2^{exponent}"
    return f"{value:,g}" if value != int(value) else f"{int(value):,}"


def _default(member: type[BaseModel], name: str) -> str:
    default = member.model_fields[name].get_default(call_default_factory=True)
    value = TypeAdapter(Any).dump_python(default, mode="json", exclude_unset=True)
    return f"`{value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)}`"


def _traits(base: type[BaseModel], classes: list[type[BaseModel]]) -> str:
    """A table of the traits that each model of a union states, below what each trait means."""
    meanings = attribute_docstrings(base)
    legend = [_wrapped(f"- `{name}`: {_sentence(meaning)}", "  ") for name, meaning in meanings.items()]
    rows = [["name", *meanings], ["---"] * (len(meanings) + 1)]
    rows += [[_title(member), *(_trait(getattr(member, name)) for name in meanings)] for member in classes]
    return "Traits:\n\n" + "\n".join(legend) + "\n\n" + "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _trait(value: object) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "none"}[value]
    return f"{value:,}" if isinstance(value, int) else f"`{value}`"


def attribute_docstrings(cls: type[BaseModel]) -> dict[str, str]:
    """The string below each attribute in a class's source, by the attribute's name."""
    (body,) = ast.parse(textwrap.dedent(inspect.getsource(cls))).body
    assert isinstance(body, ast.ClassDef)
    found = {}
    for attribute, text in zip(body.body, body.body[1:], strict=False):
        if isinstance(attribute, ast.AnnAssign) and isinstance(text, ast.Expr):
            found[ast.unparse(attribute.target)] = str(ast.literal_eval(text.value))
    return found


def _setting(setting: Setting) -> str:
    value = str(setting.default).lower() if setting.kind is bool else setting.default
    default = setting.default_text or f"`{value}`"
    rules = [f"at least {setting.rules['min']}"] if "min" in setting.rules else []
    used_by = [] if len(setting.commands) == 1 else [f"used by {_commands(setting)}"]
    facts = [*([setting.unit] if setting.unit else []), *rules, f"default {default}", *used_by]
    head = _wrapped(f"- `{setting.flag}`, `{setting.environment}`: {'; '.join(facts)}.", "  ")
    return f"{head}\n{_wrapped('  ' + setting.help, '  ')}"


def _commands(setting: Setting) -> str:
    if "best" not in setting.commands:
        return ", ".join(f"`{command}`" for command in setting.commands)
    serve = "`serve` and " if "serve" in setting.commands else ""
    return f"{serve}every command that calls a service"


def _sentence(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip()


def _wrapped(text: str, indent: str) -> str:
    """The text in lines of at most WIDTH characters, without a line break inside of code."""
    whole = re.sub(r"`[^`]*`", lambda code: code[0].replace(" ", "\0"), text)
    lines = textwrap.fill(whole, WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
    return lines.replace("\0", " ")


def main() -> None:
    """Write both pages beside this file."""
    for name, page in PAGES.items():
        Path(__file__).with_name(name).write_text(page())


if __name__ == "__main__":
    main()
