"""The settings as options of commands: flags, environment variables, defaults and help come from the one table."""

import re
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from narrows.cli.settings import BY_NAME, SETTINGS

DEFAULT: dict[str, Any] = {setting.name: setting.default for setting in SETTINGS}


def _option(name: str, **changes: Any) -> Any:
    setting = BY_NAME[name]
    text = f"{setting.help.removesuffix('.')}, in {setting.unit}." if setting.unit else setting.help
    shown = setting.default_text or setting.default is not None
    return typer.Option(setting.flag, envvar=setting.environment, help=text, show_default=shown, **changes)


MAX_LANES = 1024


def _lanes(text: str) -> str:
    if text != "auto" and not (text.isdecimal() and 1 <= int(text) <= MAX_LANES):
        raise typer.BadParameter(f"must be auto or a number from 1 to {MAX_LANES}: {text!r}")
    return text


def _prefixes(given: list[str] | None) -> list[str]:
    from service.schemas.study.entrypoints import MODULE_PATTERN

    for prefix in given or []:
        if re.fullmatch(MODULE_PATTERN, prefix) is None:
            raise typer.BadParameter(f"must name a module or package, as mypkg or mypkg.train: {prefix!r}")
    return given or []


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
Devices = Annotated[str, _option("devices")]
Processes = Annotated[int | None, _option("processes", min=1)]
Lanes = Annotated[str, _option("lanes", callback=_lanes)]
CheckpointSeconds = Annotated[float, _option("checkpoint_seconds", min=1)]
KeepModels = Annotated[Literal["best", "all", "none"], _option("keep_models")]
Allow = Annotated[list[str] | None, _option("allow", callback=_prefixes)]
Code = Annotated[Path | None, _option("code", exists=True, file_okay=False)]
Study = Annotated[str | None, _option("study")]
DataDir = Annotated[str, _option("data_dir")]
Download = Annotated[bool, _option("download")]
Tensorboard = Annotated[Path | None, _option("tensorboard", file_okay=False)]
Mlflow = Annotated[str | None, _option("mlflow")]
ExitWhenIdle = Annotated[float | None, _option("exit_when_idle", min=0)]

StudyName = Annotated[str, typer.Argument(metavar="STUDY", help="Name of the study.", show_default=False)]
AsJson = Annotated[bool, typer.Option("--json", help="Print the API's JSON as it is.")]
