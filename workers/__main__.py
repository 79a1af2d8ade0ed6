"""`narrows worker` becomes this process: the fleet of one machine, with a fork for each worker process."""

import gc
import importlib.util
import logging
import os
import sys
import time
from collections.abc import Mapping
from functools import partial

from service.schemas.log_lines import LineFormatter
from service.schemas.terminal_text import printable
from workers.fleet import devices
from workers.fleet.device_group import CPU, DeviceGroup
from workers.fleet.fleet import EXIT_CRASHED, EXIT_NO_RESTART, Fleet, WorkerSlot
from workers.fleet.forks import Forks
from workers.fleet.secrets import TOKEN, close_memory, take_token
from workers.fleet.shared_memory import share_between_forks
from workers.fleet.stopping import Stopping
from workers.options import Options, parse
from workers.sinks.choice import missing
from workers.user_code.process import THREAD_VARIABLES, USER_VARIABLE
from workers.user_process.imports import unsafe_to_fork

logger = logging.getLogger("narrows.fleet")

SINGLE_THREAD = dict.fromkeys(THREAD_VARIABLES, "1")
"""With more threads, sums would be taken in another order, and a trial's result would depend on the machine. Users'
code gets the values that the user has exported."""
IMPORTS_APART = "NARROWS_IMPORTS_APART"
"""Variable of a fleet whose processes import what they need themselves, because importing it starts threads here."""


def main(arguments: list[str]) -> int:
    """Run the fleet. Returns the status to exit with, as workers.fleet.fleet has them."""
    options = parse(arguments, take_token())
    if not options.allowance.is_empty:
        close_memory()
    configure_logging(options.log_level, "fleet")
    if importlib.util.find_spec("torch") is None:
        print("narrows: training needs PyTorch: pip install 'narrows[worker]'", file=sys.stderr)
        return EXIT_CRASHED
    if (reason := missing(options.tensorboard, options.mlflow)) is not None:
        print(f"narrows: {reason}", file=sys.stderr)
        return EXIT_NO_RESTART
    return run_fleet(options)


def run_fleet(options: Options) -> int:
    """Run one process for each group of devices until they have ended. Returns the status to exit with."""
    original = dict(os.environ)
    try:
        groups = devices.process_groups(
            options.devices, options.processes, options.devices_per_trial, devices.count_gpus, devices.n_cores()
        )
    except devices.NoDeviceError as error:
        print(f"narrows: {printable(str(error))}", file=sys.stderr)
        return EXIT_NO_RESTART
    logger.info("%d processes: %s", len(groups), ", ".join(map(str, groups)))
    environments = {CPU: cpu_environment(os.environ)}
    if {group.kind for group in groups} == {CPU}:  # set before the import, because libraries read these variables then
        os.environ.update(environments.pop(CPU))
    forks, options = Forks(), options.model_copy(update={"processes": len(groups)})
    starters = {
        group: forks.starter(partial(run_process, options, group, environments.get(group.kind, {}))) for group in groups
    }
    fleet = Fleet([WorkerSlot(str(group), starters[group]) for group in groups])
    fleet.install()
    if sys.platform == "linux" and IMPORTS_APART not in original:
        started_at = time.monotonic()
        import_ahead()
        logger.info("PyTorch is imported for all processes, in %.1f s", time.monotonic() - started_at)
        if (reason := unsafe_to_fork()) is not None:
            logger.warning("each process imports PyTorch itself, because it %s when it is imported", reason)
            token = {} if options.token is None else {TOKEN: options.token}
            environment = original | token | {IMPORTS_APART: "1"}
            os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], environment)
    if len(groups) > 1:
        share_between_forks()
    return fleet.run()


def import_ahead() -> None:
    """Import what every training needs, so that forks of this process have it from their first moment."""
    gc.disable()  # nothing that an import makes is garbage
    import httpcore  # noqa: F401 - httpx imports it for its first client

    from workers.loop import process  # noqa: F401

    gc.freeze()  # collections in a fork need not copy what is shared
    gc.enable()


def run_process(options: Options, devices: DeviceGroup, environment: Mapping[str, str]) -> int:
    """Train on the devices until the fleet says to stop, or dies. Returns the status to exit with."""
    started_at, stopping = time.monotonic(), Stopping()
    stopping.install()  # before torch is imported: a signal in those seconds counts too
    configure_logging(options.log_level, f"{devices}/{os.getpid()}")
    os.environ.update(environment)
    from workers.loop import process

    return process.run(options, devices, stopping, started_at)


def cpu_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables of a process on the CPU: one thread, and the user's numbers of threads for users' code.

    If the user has exported only some of the variables, the others have the value of the first of these.
    """
    exported = {name: environment[name] for name in SINGLE_THREAD if environment.get(name)}
    if not exported:
        return SINGLE_THREAD
    users = dict.fromkeys(SINGLE_THREAD, next(iter(exported.values()))) | exported
    return SINGLE_THREAD | {f"{USER_VARIABLE}{name}": value for name, value in users.items()}


def configure_logging(level: str, process: str) -> None:
    """Log to stderr; each line names the process. What was configured before, by the fleet in a fork, is replaced."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(LineFormatter(f"%(asctime)s %(levelname)s {process}: %(message)s"))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for noisy in ("httpx", "httpcore", "mlflow", "alembic"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
