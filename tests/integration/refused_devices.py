"""Definitions whose devices are refused."""

from tests.integration.refusals import Cases, training
from tests.integration.refused_commands import command
from tests.integration.service_driver import Json


def code(**fields: object) -> Json:
    return {"training": {"entrypoint": "mypkg.train:objective", **fields}, "pruner": "none"}


CASES: Cases = {
    "no device": (code(devices=0), "training.devices", "above 0 and at most 1024: 0"),
    "fewer than no devices": (code(devices=-0.5), "training.devices", "above 0 and at most 1024: -0.5"),
    "a device and a half": (code(devices=1.5), "training.devices", "the share 1/k of one device"),
    "two thirds of a device": (code(devices=0.67), "training.devices", "the share 1/k of one device"),
    "a share for too many trials": (code(devices=0.01), "training.devices", "for at most 64 trials at a time: 0.01"),
    "too many devices": (code(devices=5000), "training.devices", "at most 1024: 5000"),
    "devices in words": (code(devices="2"), "training.devices", "must be a number"),
    "devices that are true": (command("python", "{args}", devices=True), "training.devices", "must be a number"),
    "devices of built-in training": (
        training(devices=2),
        "training",
        "devices is for trainings with an entrypoint or a command",
    ),
    "a launch of built-in training": (
        training(launch="torchrun"),
        "training",
        "launch is for trainings with an entrypoint or a command",
    ),
    "an unknown launch": (code(launch="mpirun"), "training.launch", "torchrun"),
    "torchrun on half a device": (
        code(devices=0.5, launch="torchrun"),
        "training",
        "launch: torchrun needs whole devices, one for each process: devices=0.5",
    ),
    "torchrun of a shell": (
        command("sh", "train.sh", "{args}", launch="torchrun"),
        "training",
        "the command must begin with python: 'sh'",
    ),
}
