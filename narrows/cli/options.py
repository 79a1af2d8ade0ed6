"""The settings as options of commands: flags, environment variables, defaults and help come from the one table."""

from collections.abc import Callable
from inspect import Parameter, Signature
from typing import Annotated, Any, Literal

import typer

from narrows.cli.settings import BY_NAME, SETTINGS, Setting

DEFAULT: dict[str, Any] = {setting.name: setting.default for setting in SETTINGS}


def _option(name: str, **rules: Any) -> Any:
    setting = BY_NAME[name]
    text = f"{setting.help.removesuffix('.')}, in {setting.unit}." if setting.unit else setting.help
    shown = setting.default_text or setting.default is not None
    return typer.Option(
        setting.flag, envvar=setting.environment, help=text, show_default=shown, **setting.rules, **rules
    )


def with_settings(command: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a function that takes any keyword arguments all settings of a command as its options."""

    def decorate(function: Callable[..., None]) -> Callable[..., None]:
        parameters = [_parameter(setting) for setting in SETTINGS if command in setting.commands]
        function.__signature__ = Signature(parameters)  # type: ignore[attr-defined] # typer reads the options from it
        return function

    return decorate


def _parameter(setting: Setting) -> Parameter:
    kind: Any = Literal[setting.choices] if setting.choices else setting.kind
    annotation: Any = Annotated[kind | None if setting.default is None else kind, _option(setting.name)]
    return Parameter(setting.name, Parameter.KEYWORD_ONLY, default=setting.default, annotation=annotation)


Host = Annotated[str, _option("host")]
Port = Annotated[int, _option("port", min=0, max=65535)]
Database = Annotated[str, _option("database")]
Artifacts = Annotated[str | None, _option("artifacts")]
MaxArtifactMib = Annotated[int, _option("max_artifact_mib", min=1)]
Standby = Annotated[bool, _option("standby")]
LeaseSeconds = Annotated[float, _option("lease_seconds")]
LogLevel = Annotated[Literal["debug", "info", "warning", "error"], _option("log_level")]
LogFormat = Annotated[Literal["text", "json"], _option("log_format")]
Token = Annotated[str | None, _option("token")]
Server = Annotated[str, _option("server")]
DataDir = Annotated[str, _option("data_dir")]

StudyName = Annotated[str, typer.Argument(metavar="STUDY", help="Name of the study.", show_default=False)]
AsJson = Annotated[bool, typer.Option("--json", help="Print the API's JSON as it is.")]
