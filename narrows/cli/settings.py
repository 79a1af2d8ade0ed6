"""Every setting of the command in one table: the source of flags, environment variables and their reference page."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from narrows.cli import checks

Value = str | int | float | bool | None


@dataclass(frozen=True)
class Setting:
    """One setting. A flag wins over its environment variable, and that over the default.

    kind: the type of its value; list[str] for a flag that may be repeated.
    default_text: what the help says of the default, where that is None.
    choices: the values that are allowed; empty for any.
    rules: further arguments of typer.Option that limit the value.
    """

    name: str
    default: Value
    help: str
    commands: tuple[str, ...]
    kind: type[Any] = str
    unit: str = ""
    default_text: str = ""
    choices: tuple[str, ...] = ()
    rules: Mapping[str, Any] = field(default_factory=dict)

    @property
    def flag(self) -> str:
        """The name of its flag; for a bool, that of the flag and that of its opposite."""
        words = self.name.replace("_", "-")
        return f"--{words}/--no-{words}" if self.kind is bool else f"--{words}"

    @property
    def environment(self) -> str:
        """The name of its environment variable."""
        return f"NARROWS_{self.name.upper()}"


CLIENTS = (
    "submit",
    "watch",
    "studies",
    "workers",
    "trials",
    "best",
    "pause",
    "resume",
    "retry",
    "stop",
    "extend",
    "delete",
    "export",
    "import",
    "model",
    "logs",
    "final",
    "diagnose",
    "report",
    "narrow",
    "token create",
    "token list",
    "token revoke",
)

SETTINGS = (
    Setting("host", "127.0.0.1", "Address to listen on.", ("serve",)),
    Setting("port", 8000, "Port to listen on; 0 takes any free one.", ("serve",), int, rules={"min": 0, "max": 65535}),
    Setting(
        "database",
        "sqlite:///narrows.db",
        "URL of the database: sqlite:///FILE, or postgresql+psycopg://USER:PASSWORD@HOST/NAME.",
        ("serve",),
    ),
    Setting(
        "artifacts",
        None,
        "Where the files of trials are stored, mostly checkpoints: a folder, or s3://BUCKET/PREFIX.",
        ("serve",),
        default_text="narrows-artifacts beside the SQLite file, or in the current folder",
    ),
    Setting(
        "max_artifact_mib", 1024, "Size limit of each file of a trial.", ("serve",), int, unit="MiB", rules={"min": 1}
    ),
    Setting(
        "standby",
        False,
        "Wait while another service has the database, and take over when it ends.",
        ("serve",),
        bool,
    ),
    Setting(
        "token",
        None,
        "Token that workers and commands send. The service accepts it as an admin token, besides its stored tokens.",
        ("serve", "worker", *CLIENTS),
        default_text="no token",
    ),
    Setting(
        "lease_seconds",
        60.0,
        "Reassign a trial after this long without a report or renewal from its worker.",
        ("serve",),
        float,
        unit="seconds",
    ),
    Setting(
        "log_level",
        "info",
        "Lowest level that is logged: debug, info, warning or error.",
        ("serve", "worker"),
        choices=("debug", "info", "warning", "error"),
    ),
    Setting(
        "log_format",
        "text",
        "Format of the log: text, or json with one object a line.",
        ("serve",),
        choices=("text", "json"),
    ),
    Setting(
        "samplers",
        None,
        "Module or package whose samplers definitions may name. Its code runs on the service's machine, in separate "
        "processes. Repeat the flag for several; the variable holds them separated by spaces.",
        ("serve",),
        list[str],
        default_text="none: only built-in samplers",
        rules={"callback": checks.prefixes},
    ),
    Setting(
        "sampler_memory_mib",
        8192,
        "Memory limit of the process of each such sampler.",
        ("serve",),
        int,
        unit="MiB",
        rules={"min": 256},
    ),
    Setting("server", "http://127.0.0.1:8000", "URL of the service.", ("worker", *CLIENTS)),
    Setting(
        "devices",
        "auto",
        "Devices to train on: auto (every GPU, or the CPU without one), cpu, or a list such as cuda:0,cuda:1. Devices "
        "joined by + are a group, which has one process: cuda:0+cuda:1,cuda:2+cuda:3.",
        ("worker",),
    ),
    Setting(
        "devices_per_trial",
        None,
        "Devices of each process, for studies whose trials use that many.",
        ("worker",),
        int,
        default_text="1, or the size of the groups in --devices",
        rules={"min": 1, "max": 1024},
    ),
    Setting(
        "trials_per_device",
        1,
        "Trials of users' code that a process trains at a time on each of its devices.",
        ("worker",),
        int,
        rules={"min": 1, "max": 64},
    ),
    Setting(
        "processes",
        None,
        "Worker processes on this machine.",
        ("worker",),
        int,
        default_text="one per GPU, CPU core or group of devices",
        rules={"min": 1},
    ),
    Setting(
        "lanes",
        "auto",
        "Trials that a process trains at a time: a number, or auto to measure what is fastest.",
        ("worker",),
        rules={"callback": checks.lanes},
    ),
    Setting(
        "checkpoint_seconds",
        30.0,
        "Interval between checkpoints of a running trial.",
        ("worker",),
        float,
        unit="seconds",
        rules={"min": 1},
    ),
    Setting(
        "keep_models",
        "best",
        "Models that are kept: best (of each study so far), all, or none.",
        ("worker",),
        choices=("best", "all", "none"),
    ),
    Setting(
        "allow",
        None,
        "Module or package whose entrypoints this worker may run, with everything below it. Repeat the flag for "
        "several; the variable holds them separated by spaces.",
        ("worker",),
        list[str],
        default_text="no user code",
        rules={"callback": checks.prefixes},
    ),
    Setting(
        "allow_command",
        None,
        "Leading words of commands that this worker may run, such as 'python train.py'. Repeat the flag for several; "
        "the variable holds them separated by ';'.",
        ("worker",),
        list[str],
        default_text="no commands",
        rules={"callback": checks.commands},
    ),
    Setting(
        "allow_environment",
        None,
        "Variable that a command's definition may set although it could make the program run other code. Repeat the "
        "flag for several; the variable holds them separated by spaces.",
        ("worker",),
        list[str],
        default_text="none of these",
    ),
    Setting(
        "python",
        None,
        "Interpreter for commands whose program is `python`.",
        ("worker",),
        Path,
        default_text="the worker's own",
        rules={"exists": True, "dir_okay": False},
    ),
    Setting(
        "code",
        None,
        "Folder with users' code, searched in addition to Python's own module path.",
        ("worker",),
        Path,
        default_text="none",
        rules={"exists": True, "file_okay": False},
    ),
    Setting(
        "keep_folders",
        None,
        "Folder in which the working folders of users' code are kept, with what the code has written there.",
        ("worker",),
        Path,
        default_text="none: they are removed",
        rules={"file_okay": False},
    ),
    Setting(
        "fresh_imports",
        False,
        "Start every trial of users' code with a new interpreter, which imports all packages anew.",
        ("worker",),
        bool,
    ),
    Setting("study", None, "Take trials of this study only.", ("worker",), default_text="any study"),
    Setting("data_dir", "./data", "Folder of the data sets.", ("worker", "experiment")),
    Setting("download", True, "Download a data set that is missing.", ("worker",), bool),
    Setting(
        "exit_when_idle",
        None,
        "Exit after this long without a trial that this machine can train.",
        ("worker",),
        float,
        unit="seconds",
        default_text="never",
        rules={"min": 0},
    ),
    Setting(
        "tensorboard",
        None,
        "Folder for TensorBoard event files with the metrics that trials report.",
        ("worker",),
        Path,
        default_text="none",
        rules={"file_okay": False},
    ),
    Setting(
        "mlflow",
        None,
        "MLflow tracking URI to which the metrics that trials report are logged too.",
        ("worker",),
        default_text="none",
    ),
)

BY_NAME = {setting.name: setting for setting in SETTINGS}
