"""The conversion of a file: from its content to the checked text of a study definition."""

from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from service.conversion import ray_file
from service.conversion.draft import HEAD, ConversionError, Draft, Given, shown
from service.conversion.python_source import Call, Source, SourceError, Unknown
from service.conversion.sweep import is_sweep, read_sweep
from service.conversion.text import text_of
from service.schemas import yaml_text
from service.schemas.locations import errors_of
from service.schemas.study.definition import Definition

MAX_BYTES = 1024 * 1024
AGENT = {"sweep_id", "function", "count"}
"""Arguments of wandb.agent that are converted."""
NOTHING = "holds neither a W&B sweep (method and parameters) nor a search space of Ray Tune"


def convert_file(path: Path, given: Given) -> str:
    """Return a definition that the service accepts, as YAML. Raises ConversionError and OSError."""
    return convert(path.read_bytes(), path, given)


def convert(content: bytes, path: Path, given: Given) -> str:
    """As `convert_file`, of the content of a file that need not be there. Raises ConversionError."""
    if len(content) > MAX_BYTES:
        raise ConversionError([f"a file must have at most 1 MiB: it has {len(content):,} bytes"])
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        raise ConversionError([f"must be a text in UTF-8: {error}"]) from error
    try:
        draft = _read_python(text, path, given) if path.suffix == ".py" else _read_data(text, path, given)
    except RecursionError as error:
        raise ConversionError(["is nested too deeply"]) from error
    except SourceError as error:
        raise ConversionError([str(error)]) from error
    draft.apply(given)
    if draft.errors:
        raise ConversionError(draft.errors)
    if not draft.search_space:
        raise ConversionError(["parameters: at least one must be searched: all of them are constants"])
    return _checked(draft, path.name)


def _checked(draft: Draft, origin: str) -> str:
    """Return the text, after the service's own rules have accepted what is read back from it."""
    definition = draft.definition()
    text = text_of(definition, draft.notes, origin)
    back = yaml_text.load(text)
    assert back == _plain(definition), "the text says what the draft says"
    try:
        Definition.model_validate(back)
    except ValidationError as error:
        problems = [pair for item in error.errors(include_url=False) for pair in errors_of(item, item["loc"])]
        raise ConversionError([f"{field}: {message}" for field, message in problems]) from error
    return text


def _read_python(text: str, path: Path, given: Given) -> Draft:
    source = Source(text)
    sweeps = {name: value for name, value in source.dictionaries().items() if is_sweep(value)}
    calls = source.calls("wandb.sweep")
    argument = calls[0].keywords.get("sweep", next(iter(calls[0].arguments), None)) if len(calls) == 1 else None
    if given.space is None and isinstance(argument, dict) and is_sweep(argument):
        return _read_python_sweep(source, argument, path, given)
    if isinstance(argument, Unknown) and not sweeps:
        raise ConversionError([f"a sweep must be one dictionary of the file that nothing changes: {argument}"])
    if len(sweeps) > 1 and given.space not in sweeps:
        raise ConversionError([f"the file has several sweeps, say which one with --space NAME: {', '.join(sweeps)}"])
    if sweeps:
        name = given.space if given.space in sweeps else next(iter(sweeps))
        return _read_python_sweep(source, sweeps[name], path, given)
    draft = ray_file.read_file(source, path.stem, given)
    if draft is None:
        raise ConversionError([NOTHING])
    return draft


def _read_python_sweep(source: Source, sweep: dict[str, Any], path: Path, given: Given) -> Draft:
    unknown = _first_unknown(sweep, "")
    if unknown is not None:
        raise ConversionError([unknown])
    agents = source.calls("wandb.agent")
    agent = agents[0].named(("sweep_id", "function")) if len(agents) == 1 else {}
    count = agent.get("count")
    if "run_cap" not in sweep and given.n_trials is None and type(count) is int:
        sweep = {**sweep, "run_cap": count}
    function = agent.get("function")
    called = function.text if isinstance(function, Unknown) and function.text.isidentifier() else None
    programs = {name: sweep[name] for name in ("program", "command") if called is not None and name in sweep}
    draft = read_sweep({name: part for name, part in sweep.items() if name not in programs}, path.stem, given)
    for name, value in programs.items():
        draft.note(HEAD, f"{name} is left out (wandb.agent calls {called}): {shown(value)}")
    if sweep.get("run_cap") == count and count is not None:
        draft.note("n_trials", "The count of wandb.agent, which is the number of runs of each agent there.")
    if called is not None:
        draft.call("function", path.stem, called)
    for call in source.calls("wandb.sweep"):
        _note_left_out(draft, call, ("sweep", "entity", "project"), {"sweep"})
    if len(agents) > 1:
        draft.note(
            HEAD, f"The calls of wandb.agent in lines {', '.join(str(call.line) for call in agents)} are left out."
        )
    for call in agents[:1]:
        _note_left_out(draft, call, ("sweep_id", "function", "entity", "project", "count"), AGENT)
    return draft


def _note_left_out(draft: Draft, call: Call, names: tuple[str, ...], read: set[str]) -> None:
    for name, value in call.named(names).items():
        if name not in read and value is not None:
            draft.note(HEAD, f"{name} of {call.name} is left out: {shown(value)}")


def _first_unknown(value: Any, field: str) -> str | None:
    """Return a message about the first field whose value is known only when the file runs; None without one."""
    if isinstance(value, dict | list | tuple):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        messages = (_first_unknown(item, f"{field}.{key}".lstrip(".")) for key, item in items)
        return next((message for message in messages if message is not None), None)
    is_data = value is None or isinstance(value, str | bool | int | float)
    return None if is_data else f"{field}: {value} is known only when the file runs: write its value there"


def _read_data(text: str, path: Path, given: Given) -> Draft:
    """Read YAML or JSON. YAML is read as W&B does, by YAML 1.1: there `no` is false."""
    try:
        content = yaml.safe_load(text) if path.suffix in (".yaml", ".yml") else yaml_text.load(text)
    except (yaml.YAMLError, yaml_text.YamlError, RecursionError, ValueError) as error:
        raise ConversionError([f"cannot be read: {' '.join(str(error).split())}"]) from error
    if not isinstance(content, dict):
        raise ConversionError([NOTHING])
    if "search_space" in content and "n_trials" in content:
        raise ConversionError(["is already a study definition: use narrows submit"])
    if is_sweep(content) or "parameters" in content or "method" in content:
        return read_sweep({"method": None, **content}, path.stem, given)
    draft = ray_file.read_space_alone(content, path.stem, given)
    if not draft.search_space and not draft.errors:
        raise ConversionError([NOTHING])
    return draft


def _plain(value: Any) -> Any:
    """Replace tuples by lists, as YAML has only those."""
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value
