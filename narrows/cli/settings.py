"""Every setting of the command: one table, read by the command line, the environment and the README's test."""

from dataclasses import dataclass

Value = str | int | float | bool | None


@dataclass(frozen=True)
class Setting:
    """One setting. A flag wins over its environment variable, and that over the default."""

    name: str
    default: Value
    help: str
    commands: tuple[str, ...]
    kind: type[str] | type[int] | type[float] | type[bool] = str
    unit: str = ""
    default_text: str = ""

    @property
    def flag(self) -> str:
        words = self.name.replace("_", "-")
        return f"--{words}/--no-{words}" if self.kind is bool else f"--{words}"

    @property
    def environment(self) -> str:
        return f"NARROWS_{self.name.upper()}"


CLIENTS = (
    "submit",
    "watch",
    "studies",
    "trials",
    "best",
    "pause",
    "resume",
    "stop",
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
    Setting("port", 8000, "Port to listen on; 0 takes any free one.", ("serve",), int),
    Setting(
        "database",
        "sqlite:///narrows.db",
        "URL of the database: sqlite:///FILE, or postgresql+psycopg://USER:PASSWORD@HOST/NAME.",
        ("serve",),
    ),
    Setting(
        "artifacts",
        None,
        "Where files of trials go, checkpoints above all: a folder, or s3://BUCKET/PREFIX.",
        ("serve",),
        default_text="narrows-artifacts beside the SQLite file, or in the current folder",
    ),
    Setting("max_artifact_mib", 1024, "Largest file that a trial may have.", ("serve",), int, unit="MiB"),
    Setting(
        "standby",
        False,
        "Wait while another service has the database, and take over when it ends.",
        ("serve",),
        bool,
    ),
    Setting(
        "lease_seconds",
        60.0,
        "A trial goes to another worker when its own was silent for so long.",
        ("serve",),
        float,
        unit="seconds",
    ),
    Setting(
        "token",
        None,
        "Token: workers and commands send it; the service takes it for an admin's, beside those it has stored.",
        ("serve", "worker", *CLIENTS),
        default_text="no token",
    ),
    Setting("log_level", "info", "Least level that is logged: debug, info, warning or error.", ("serve", "worker")),
    Setting("log_format", "text", "Format of the log: text, or json with one object a line.", ("serve",)),
    Setting("server", "http://127.0.0.1:8000", "URL of the service.", ("worker", *CLIENTS)),
    Setting(
        "devices",
        "auto",
        "Devices to train on: auto (every GPU, or the CPU without one), cpu, or a list such as cuda:0,cuda:1.",
        ("worker",),
    ),
    Setting(
        "processes",
        None,
        "Worker processes on this machine.",
        ("worker",),
        int,
        default_text="one per GPU, or one per CPU core",
    ),
    Setting(
        "lanes",
        "auto",
        "Trials that a process trains at a time: a number, or auto to measure what is fastest.",
        ("worker",),
    ),
    Setting(
        "checkpoint_seconds",
        30.0,
        "A trial that trains for longer has its state kept so often, to go on from there.",
        ("worker",),
        float,
        unit="seconds",
    ),
    Setting(
        "keep_models",
        "best",
        "Models that are kept: best (of each study so far), all, or none.",
        ("worker",),
    ),
    Setting(
        "allow",
        None,
        "Run entrypoints of this module or package and of what lies below it; may be given several times, and the "
        "variable may hold several with spaces between.",
        ("worker",),
        default_text="no user code",
    ),
    Setting(
        "code",
        None,
        "Folder where users' code is found, besides where Python finds modules anyway.",
        ("worker",),
        default_text="none",
    ),
    Setting("study", None, "Take trials of this study only.", ("worker",), default_text="any study"),
    Setting("data_dir", "./data", "Folder of the data sets.", ("worker", "experiment")),
    Setting("download", True, "Download a data set that is missing.", ("worker",), bool),
    Setting(
        "exit_when_idle",
        None,
        "Exit after so long without a trial.",
        ("worker",),
        float,
        unit="seconds",
        default_text="never",
    ),
    Setting(
        "tensorboard",
        None,
        "Folder for TensorBoard event files of what trials report.",
        ("worker",),
        default_text="none",
    ),
    Setting(
        "mlflow",
        None,
        "Tracking URI of MLflow, to log there too what trials report.",
        ("worker",),
        default_text="none",
    ),
)

BY_NAME = {setting.name: setting for setting in SETTINGS}
