"""The first message to a process with users' code."""

from pathlib import Path
from typing import Any

from service.schemas.protocol import Lease
from workers.fleet.device_group import DeviceGroup
from workers.user_code.user_code_options import UserCodeOptions
from workers.user_process.channel import Message


def start_message(
    lease: Lease,
    options: UserCodeOptions,
    devices: DeviceGroup,
    *,
    entrypoint: str,
    arguments: dict[str, Any],
    seed: int,
    **more: Any,
) -> Message:
    """What to call, and the trial's facts. It contains neither the lease's id nor anything to reach the service with.

    `more` replaces defaults: params, user_attrs, objectives and prunes for an Optuna objective; before_code (modules
    of ours to import before the user's code, which could have modules of the same names); the folder checkpoint_dir,
    resume_step and model_path for a train function; device, rank, world_size and environment, more variables, for one
    of several processes.
    """
    limit_mib = lease.training.memory_limit_mib
    defaults = {
        "params": {},
        "user_attrs": {},
        "objectives": [],
        "prunes": False,
        "before_code": [],
        "checkpoint_dir": "",
        "resume_step": 0,
        "model_path": "",
        "environment": {},
        "rank": 0,
        "world_size": 1,
    }
    return {
        **defaults,
        "study": lease.study,
        "number": lease.trial_number,
        "entrypoint": entrypoint,
        "arguments": arguments,
        "memory_limit_mib": None if limit_mib is None else devices.part_of(limit_mib),
        "seed": seed,
        "device": devices.kind,
        "n_devices": len(devices),
        "program": _program(lease.training.entrypoints[0], options.code),
        "code": None if options.code is None else str(options.code),
        **more,
    }


def _program(entrypoint: str, code: Path | None) -> str:
    """What code finds as its program's name: the file of the entrypoint's module, or the module's name."""
    module = entrypoint.partition(":")[0]
    path = Path() if code is None else code.joinpath(*module.split(".")).with_suffix(".py")
    return str(path) if path.is_file() else module
