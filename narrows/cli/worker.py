import os
import sys

from narrows.cli.options import (
    DEFAULT,
    Allow,
    CheckpointSeconds,
    Code,
    DataDir,
    Devices,
    Download,
    ExitWhenIdle,
    KeepModels,
    Lanes,
    LogLevel,
    Mlflow,
    Processes,
    Server,
    Study,
    Tensorboard,
    Token,
)


def worker(
    server: Server = DEFAULT["server"],
    token: Token = DEFAULT["token"],
    devices: Devices = DEFAULT["devices"],
    processes: Processes = DEFAULT["processes"],
    lanes: Lanes = DEFAULT["lanes"],
    checkpoint_seconds: CheckpointSeconds = DEFAULT["checkpoint_seconds"],
    keep_models: KeepModels = DEFAULT["keep_models"],
    allow: Allow = DEFAULT["allow"],
    code: Code = DEFAULT["code"],
    study: Study = DEFAULT["study"],
    data_dir: DataDir = DEFAULT["data_dir"],
    download: Download = DEFAULT["download"],
    exit_when_idle: ExitWhenIdle = DEFAULT["exit_when_idle"],
    tensorboard: Tensorboard = DEFAULT["tensorboard"],
    mlflow: Mlflow = DEFAULT["mlflow"],
    log_level: LogLevel = DEFAULT["log_level"],
) -> None:
    """Train trials on this machine's devices, until SIGTERM or Ctrl-C; trials at hand are given back."""
    given = {
        "--server": server,
        "--devices": devices,
        "--processes": processes,
        "--lanes": lanes,
        "--checkpoint-seconds": checkpoint_seconds,
        "--keep-models": keep_models,
        "--code": code,
        "--study": study,
        "--data-dir": data_dir,
        "--exit-when-idle": exit_when_idle,
        "--tensorboard": tensorboard,
        "--mlflow": mlflow,
        "--log-level": log_level,
    }
    flags = [f"{flag}={value}" for flag, value in given.items() if value is not None]
    flags += [f"--allow={prefix}" for prefix in allow or []]
    if token:
        os.environ["NARROWS_TOKEN"] = token
    sys.stdout.flush()
    from workers import __name__ as workers

    # The process becomes another program, which loads nothing of the service.
    command = [sys.executable, "-P", "-m", workers, *flags, "--download" if download else "--no-download"]
    os.execv(sys.executable, command)
