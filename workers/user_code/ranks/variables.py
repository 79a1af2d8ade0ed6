"""The variables that torchrun sets for each process, as torch.distributed.run lists them."""

from collections.abc import Mapping

from workers.fleet.device_group import CPU, DeviceGroup
from workers.user_code.process import USER_VARIABLE

Variables = dict[str, str]

THREADS = "OMP_NUM_THREADS"


def rank_variables(rank: int, n_ranks: int, environment: Mapping[str, str]) -> Variables:
    """Those that say which of how many processes this is: all are on one machine, and none is started again.

    Each of several processes has one thread, unless the worker's environment says how many.
    """
    is_given = THREADS in environment or f"{USER_VARIABLE}{THREADS}" in environment
    threads = {} if n_ranks == 1 or is_given else {THREADS: "1"}
    return {
        **threads,
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "ROLE_RANK": str(rank),
        "GROUP_RANK": "0",
        "WORLD_SIZE": str(n_ranks),
        "LOCAL_WORLD_SIZE": str(n_ranks),
        "ROLE_WORLD_SIZE": str(n_ranks),
        "GROUP_WORLD_SIZE": "1",
        "ROLE_NAME": "default",
        "TORCHELASTIC_RESTART_COUNT": "0",
        "TORCHELASTIC_MAX_RESTARTS": "0",
        "TORCHELASTIC_USE_AGENT_STORE": "False",  # rank 0 listens at MASTER_PORT
        "TORCH_NCCL_ASYNC_ERROR_HANDLING": "1",
    }


def meeting_variables(study: str, trial_number: int, port: int) -> Variables:
    """Those of one trial: where its processes meet, and its id."""
    return {
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "TORCHELASTIC_RUN_ID": f"{study}-{trial_number}",
    }


def rank_device(devices: DeviceGroup, rank: int) -> str:
    """Name of the device of a rank inside its process, where all devices of the trial are visible."""
    return devices.kind if devices.kind == CPU else f"{devices.kind}:{rank}"
