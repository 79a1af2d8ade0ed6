"""`narrows worker` becomes this process: the fleet of one machine, or with --device one process of it."""

import importlib.util
import logging
import os
import sys

from service.schemas.log_lines import LineFormatter
from service.schemas.terminal_text import printable
from workers.fleet import devices
from workers.fleet.fleet import EXIT_CRASHED, EXIT_NO_RESTART, Fleet, WorkerSlot
from workers.fleet.parent import end_with_parent
from workers.fleet.secrets import TOKEN, close_memory, take_token
from workers.fleet.stopping import Stopping
from workers.options import Options, parse
from workers.sinks.choice import missing
from workers.user_code.process import USER_VARIABLE

SINGLE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
"""With more threads, sums would be taken in another order, and a trial's result would depend on the machine. Users'
code gets the values that the worker was started with."""


def main(arguments: list[str]) -> int:
    """Run the fleet, or one process of it. Returns the status to exit with, as workers.fleet.fleet has them."""
    options = parse(arguments, take_token())
    if options.allow:
        close_memory()
    configure_logging(options.log_level, options.device)
    if importlib.util.find_spec("torch") is None:
        print("narrows: training needs PyTorch: pip install 'narrows[worker]'", file=sys.stderr)
        return EXIT_CRASHED
    if (reason := missing(options.tensorboard, options.mlflow)) is not None:
        print(f"narrows: {reason}", file=sys.stderr)
        return EXIT_NO_RESTART
    return run_fleet(options) if options.device is None else run_process(options, options.device)


def run_fleet(options: Options) -> int:
    """Run one process for each device until they have ended. Returns the status to exit with."""
    try:
        names = devices.process_devices(options.devices, options.processes, devices.count_gpus, devices.n_cores())
    except devices.NoDeviceError as error:
        print(f"narrows: {printable(str(error))}", file=sys.stderr)
        return EXIT_NO_RESTART
    logging.getLogger("narrows.fleet").info("%d processes: %s", len(names), ", ".join(names))
    fleet = Fleet([worker_slot(options, name, len(names)) for name in names])
    fleet.install()
    return fleet.run()


def worker_slot(options: Options, device: str, n_processes: int) -> WorkerSlot:
    """The slot of a process on the device, one of `n_processes` on this machine."""
    arguments = options.model_copy(update={"device": device, "processes": n_processes}).arguments()
    threads = {}
    if device == "cpu":
        users = {f"{USER_VARIABLE}{name}": os.environ[name] for name in SINGLE_THREAD if name in os.environ}
        threads = {**SINGLE_THREAD, **users}
    token = {} if options.token is None else {TOKEN: options.token}
    return WorkerSlot(device, [sys.executable, "-P", "-m", __package__, *arguments], {**token, **threads})


def run_process(options: Options, device: str) -> int:
    """Train on one device until the fleet says to stop, or dies. Returns the status to exit with."""
    stopping = Stopping()
    stopping.install()  # before torch is imported: a signal in those seconds counts too
    end_with_parent()
    from workers.loop import process

    return process.run(options, device, stopping)


def configure_logging(level: str, device: str | None) -> None:
    """Log to stderr; each line names the process by its device and pid, or as the fleet's own."""
    process = "fleet" if device is None else f"{device}/{os.getpid()}"
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(LineFormatter(f"%(asctime)s %(levelname)s {process}: %(message)s"))
    logging.basicConfig(level=level.upper(), handlers=[handler])
    for noisy in ("httpx", "httpcore", "mlflow", "alembic"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
