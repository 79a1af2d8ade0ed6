"""The program and the command of a W&B sweep as a study's command.

Source of the macros: wandb, `create_sweep_command_args` and `Agent._command_run`.
"""

import posixpath
import re
from collections.abc import Iterator
from itertools import takewhile
from typing import Any

from service.conversion.draft import Draft, shown
from service.conversion.text import flow
from service.schemas.study.allowance import Needs
from service.schemas.study.guarded_variables import is_guarded
from service.schemas.study.placeholders import FLAG, as_text, escaped, leading_words, parameter_placeholder

DEFAULT = ("${env}", "${interpreter}", "${program}", "${args}")
"""W&B's own default."""
MACROS = {
    "${env}": "/usr/bin/env",
    "${interpreter}": "python",
    "${args}": "{args}",
    "${args_no_equals}": "{args_spaced}",
    "${args_json_file}": "{params_json}",
}
LISTED = {"${args_no_hyphens}": "", "${args_append_hydra}": "+", "${args_override_hydra}": "++"}
"""Macros that become an argument for each parameter, with what stands before its name."""
FLAGS = "${args_no_boolean_flags}"
WITHOUT_COUNTERPART = {
    "${args_json}": "take ${args_json_file}, the path of a file with the same JSON",
    "${args_dict}": "take ${args_json_file}, the path of a JSON file",
}
KNOWN = ("${program}", *MACROS, *LISTED, FLAGS)
PARAMETERS = ("${args}", "${args_no_equals}", "${args_json_file}", *LISTED, FLAGS)
"""Macros that pass on every parameter."""
ENV = ("${env}", "env", "/usr/bin/env")
PYTHON = re.compile(r"python3(\.[0-9]+)?")
VARIABLE = re.compile(r"\$\{envvar:([^}]*)\}")
MAX_SHOWN = 3

Command = list[str]


def command_words(draft: Draft, command: Any) -> Command | None:
    """Return the words of a sweep's command, W&B's default without one. None, with an error, if it is no list."""
    if command is None:
        return list(DEFAULT)
    if isinstance(command, str):  # as in YAML in a string
        command = [word for word in command.split() if word != "-"]
    if not isinstance(command, list) or not command or any(isinstance(word, dict | list) for word in command):
        draft.refuse("command", f"must be a list of words: {shown(command)}")
        return None
    return list(map(str, command))


def read_command(draft: Draft, sweep: dict[str, Any], metric: str) -> None:
    """Make the sweep's program the training of a draft that has its parameters. `metric` is what the study optimizes.

    Comments name what differs from W&B, and what the program has to do.
    """
    words = command_words(draft, sweep.get("command"))
    if words is None:
        return
    for word in words:
        for name in VARIABLE.findall(word):
            instead = "write its value there, or export it before you start the worker, whose environment programs get"
            draft.refuse("command", f"${{envvar:{name}}} has no counterpart: {instead}")
    program = sweep.get("program")
    if "${program}" in words and not _is_program(draft, program):
        return
    if not any(word in PARAMETERS or word in WITHOUT_COUNTERPART for word in words):
        instead = "add ${args}, or ${args_json_file} for a file, and read the parameters from there"
        draft.refuse("command", f"must pass the parameters on, as wandb.config has them only at W&B: {instead}")
        return
    words = _without_environment(draft, words)
    draft.command = [argument for word in words for argument in _arguments(draft, word, program)]
    if draft.command and PYTHON.fullmatch(draft.command[0]):
        draft.note(
            "training.command", f"In the sweep: {words[0]}; python is the worker's own, or that of its --python."
        )
        draft.command[0] = "python"
    _note_worker(draft)
    _note_differences(draft, words, sweep.get("parameters"))
    _note_metric(draft, metric)


def _is_program(draft: Draft, program: Any) -> bool:
    if not isinstance(program, str) or not program:
        draft.refuse("program", f"must be the path of a program, for which ${{program}} stands: {shown(program)}")
        return False
    if posixpath.normpath(program).split("/")[0] == "..":
        draft.refuse("program", f"must be in the worker's --code FOLDER: give its path from there: {shown(program)}")
        return False
    if posixpath.isabs(program):
        draft.note("training.command", f"{program} must exist on every worker; --code is not needed for it.")
    return True


def _without_environment(draft: Draft, words: Command) -> Command:
    """Return the words after `env` and its variables, which become those of the draft."""
    if words[0] not in ENV:
        return words
    of_env = list(takewhile(lambda word: word.startswith("-") or "=" in word, words[1:]))
    for word in of_env:
        name, _, value = word.partition("=")
        if word.startswith("-"):
            draft.refuse("command", f"options of env have no counterpart: leave them out: {shown(word)}")
        else:
            draft.environment[name] = value
    return words[1 + len(of_env) :]


def _arguments(draft: Draft, word: str, program: Any) -> Iterator[str]:
    """Yield the arguments that a word becomes. W&B, too, replaces a macro only where it is a whole word."""
    if word == "${program}":
        yield escaped(program)
    elif word in MACROS:
        yield MACROS[word]
    elif word in LISTED:
        for name in _named(draft, word):
            yield f"{LISTED[word]}{escaped(name)}={parameter_placeholder(name)}"
    elif word == FLAGS:
        yield from _flags(draft)
    elif word in WITHOUT_COUNTERPART:
        draft.refuse("command", f"{word} has no counterpart: {WITHOUT_COUNTERPART[word]}")
    elif word.startswith("${") and word.endswith("}") and not VARIABLE.search(word):
        draft.refuse("command", f"{word} is no macro of W&B: known are {', '.join(KNOWN)}")
    else:
        yield escaped(word)


def _values(draft: Draft) -> dict[str, list[Any]]:
    """Return the choices of each parameter, none for a range, and the value of each constant."""
    constants = {name: [value] for name, value in draft.arguments.items()}
    return constants | {name: parameter.get("choices", []) for name, parameter in draft.search_space.items()}


def _named(draft: Draft, word: str) -> Iterator[str]:
    for name in _values(draft):
        if "{" in name or "}" in name:
            draft.refuse("command", f"{word} cannot pass on a name with a brace: take ${{args}}: {shown(name)}")
        else:
            yield name


def _flags(draft: Draft) -> Iterator[str]:
    values = _values(draft)
    for name in _named(draft, FLAGS):
        are_boolean = {isinstance(value, bool) for value in values[name]}
        if are_boolean == {True, False}:
            rule = "must have only booleans, or none, to be passed on by"
            draft.refuse("command", f"{name} {rule} {FLAGS}: {shown(values[name])}")
        elif are_boolean == {True}:
            yield f"{{{FLAG}{name}}}"
        else:
            yield f"--{escaped(name)}={parameter_placeholder(name)}"


def _note_worker(draft: Draft) -> None:
    words, guarded = leading_words(draft.command or []), tuple(sorted(filter(is_guarded, draft.environment)))
    draft.note("training.command", f"Start a worker with: --code FOLDER {Needs((), words, guarded).flags()}")


def _note_differences(draft: Draft, words: Command, parameters: Any) -> None:
    draft.note(
        "training.command", "The script must read its parameters from its arguments: wandb.config has none here."
    )
    if _is_nested(parameters):
        example = next((name for name in _values(draft) if "." in name), "section.name")
        draft.note("training.command", f"Nested parameters have dotted names, as {example}; W&B passes a dictionary.")
    ways = {word for word in words if word in PARAMETERS} - {"${args_json_file}"}
    written = [
        f"{name} is {as_text(value)}, not {value}"
        for name, values in _values(draft).items()
        for value in values[:1]
        if as_text(value) != str(value) and ways - ({FLAGS} if isinstance(value, bool) else set())
    ]
    if written:
        more = "; …" if len(written) > MAX_SHOWN else ""
        draft.note("training.command", f"Values are passed on as JSON: {'; '.join(written[:MAX_SHOWN])}{more}.")


def _is_nested(parameters: Any) -> bool:
    specs = parameters.values() if isinstance(parameters, dict) else ()
    return any(isinstance(spec, dict) and "parameters" in spec for spec in specs)


def _note_metric(draft: Draft, metric: str) -> None:
    keyword = f"{metric}=…" if metric.isidentifier() else f"**{{{metric!r}: …}}"
    call = f"`from narrows import report`, and report(epoch, {keyword}) beside wandb.log"
    notes = (
        f"The script must report {metric}: {call}.",
        f"If it prints {metric} instead, the next line finds the numbers. Remove its # then.",
        f"metrics: {flow({metric: f'{re.escape(metric)}[=:] *(?P<value>[-+0-9.eE]+)'})}",
    )
    for text in notes:
        draft.note("training.command", text)
