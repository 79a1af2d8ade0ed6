"""The settings as options of commands: flags, environment variables, defaults and help come from the one table."""

from collections.abc import Callable
from functools import wraps
from inspect import Parameter, Signature, signature
from typing import Annotated, Any, Literal, TypeVar

import typer

from narrows.cli.settings import BY_NAME, SETTINGS, Setting

Result = TypeVar("Result")

DEFAULT: dict[str, Any] = {setting.name: setting.default for setting in SETTINGS}


def _option(name: str) -> Any:
    setting = BY_NAME[name]
    text = f"{setting.help.removesuffix('.')}, in {setting.unit}." if setting.unit else setting.help
    shown = setting.default_text or setting.default is not None
    return typer.Option(setting.flag, envvar=setting.environment, help=text, show_default=shown, **setting.rules)


def with_settings(command: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a function that takes any keyword arguments all settings of a command as its options."""

    def decorate(function: Callable[..., None]) -> Callable[..., None]:
        parameters = [_parameter(setting) for setting in SETTINGS if command in setting.commands]
        function.__signature__ = Signature(parameters)  # type: ignore[attr-defined] # typer reads the options from it
        return function

    return decorate


def with_client(command: Callable[..., Result]) -> Callable[..., Result]:
    """Give a command a client of the service as its first argument, and --server and --token after its own options."""

    @wraps(command, assigned=("__module__", "__name__", "__doc__"))
    def run(server: str, token: str | None, **given: Any) -> Result:
        from service.client import Client

        with Client(server, token) as client:
            return command(client, **given)

    _, *own = signature(command).parameters.values()
    settings = [_parameter(BY_NAME[name]) for name in ("server", "token")]
    run.__signature__ = Signature([*own, *settings])  # type: ignore[attr-defined] # typer reads the options from it
    return run


def _parameter(setting: Setting) -> Parameter:
    kind: Any = Literal[setting.choices] if setting.choices else setting.kind
    annotation: Any = Annotated[kind | None if setting.default is None else kind, _option(setting.name)]
    return Parameter(setting.name, Parameter.KEYWORD_ONLY, default=setting.default, annotation=annotation)


Token = Annotated[str | None, _option("token")]
Server = Annotated[str, _option("server")]
DataDir = Annotated[str, _option("data_dir")]

StudyName = Annotated[str, typer.Argument(metavar="STUDY", help="Name of the study.", show_default=False)]
AsJson = Annotated[bool, typer.Option("--json", help="Print the API's JSON as it is.")]
