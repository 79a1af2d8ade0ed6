"""Optuna's CMA-ES without the power that a pickle in the database would have over the service."""

import io
import logging
import pickle
from typing import Any

import numpy as np
from optuna.samplers import CmaEsSampler
from optuna.trial import FrozenTrial

log = logging.getLogger(__name__)

OPTIMIZERS = {("cmaes._cma", "CMA"), ("cmaes._sepcma", "SepCMA"), ("cmaes._cmawm", "CMAwM")}
ARRAYS = {
    (module, name)
    for module in ("numpy._core.multiarray", "numpy.core.multiarray")
    for name in ("scalar", "_reconstruct")
} | {("numpy", "ndarray")}
"""What the pickle of an optimizer names, by module and name. Types of array elements are checked one by one."""


class SafeCmaEsSampler(CmaEsSampler):
    """Restores its optimizer from attributes of trials only if they hold an optimizer and nothing else.

    Optuna keeps the optimizer as a pickle, which runs any code when it is loaded, and whoever can write to the database
    can write such an attribute. A refused one counts as missing: an older trial's is taken, or a new optimizer starts.
    """

    def _restore_optimizer(self, completed_trials: list[FrozenTrial]) -> Any:
        for trial in reversed(completed_trials):
            attrs = {
                key: value for key, value in trial.system_attrs.items() if key.startswith(self._attr_key_optimizer)
            }
            if not attrs:
                continue
            try:
                return load_optimizer(bytes.fromhex(self._concat_optimizer_attrs(attrs)))
            except Exception as error:  # noqa: BLE001 - a made-up pickle may raise anything
                log.warning("the optimizer stored with trial %d is refused: %s", trial.number, error)
        return None


def load_optimizer(pickled: bytes) -> Any:
    """An optimizer of the package cmaes from its pickle.

    Raises UnpicklingError for a pickle that names anything but those optimizers and arrays of numbers, and what the
    unpickler raises for one that is damaged.
    """
    optimizer = _OptimizerUnpickler(io.BytesIO(pickled)).load()
    if (type(optimizer).__module__, type(optimizer).__name__) not in OPTIMIZERS:
        raise pickle.UnpicklingError(f"not an optimizer: {type(optimizer).__name__}")
    return optimizer


class _OptimizerUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("numpy", "dtype"):
            return _number_dtype
        if (module, name) not in OPTIMIZERS | ARRAYS:
            raise pickle.UnpicklingError(f"it must not name {module}.{name}")
        return super().find_class(module, name)


def _number_dtype(name: str, align: bool = False, copy: bool = False) -> Any:
    dtype = np.dtype(name, align, copy)
    if dtype.kind not in "biuf":
        raise pickle.UnpicklingError(f"it must not have values of type {dtype}")
    return dtype
