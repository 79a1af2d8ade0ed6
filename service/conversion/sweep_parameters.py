"""The conversion of the parameters of a W&B sweep. Source of the distributions: wandb/sweeps, `HyperParameter.ppf`."""

import math
from typing import Any

from service.conversion.draft import Draft, shown
from service.conversion.numbers import is_int, is_number, nearest, no_choice, stepped

BOUNDS = {"min", "max"}
FIELDS = {
    "constant": {"value"},
    "categorical": {"values"},
    "categorical_w_probabilities": {"values", "probabilities"},
    "int_uniform": BOUNDS,
    "uniform": BOUNDS,
    "q_uniform": {*BOUNDS, "q"},
    "log_uniform": BOUNDS,
    "log_uniform_values": BOUNDS,
    "q_log_uniform": {*BOUNDS, "q"},
    "q_log_uniform_values": {*BOUNDS, "q"},
    "inv_log_uniform": BOUNDS,
    "inv_log_uniform_values": BOUNDS,
    "normal": {"mu", "sigma"},
    "q_normal": {"mu", "sigma", "q"},
    "log_normal": {"mu", "sigma"},
    "q_log_normal": {"mu", "sigma", "q"},
    "beta": {"a", "b"},
    "q_beta": {"a", "b", "q"},
}
NAMES = frozenset[str]().union(*FIELDS.values())
"""Every field of a parameter but its distribution."""
UNBOUNDED = ("normal", "q_normal", "log_normal", "q_log_normal")
EXPONENTS = ("log_uniform", "q_log_uniform")
MAX_PARAMETERS = 1000
HALF_ENDS = "W&B rounds to multiples of q, so the two ends come half as often there; here as often as the others."


def add_parameters(draft: Draft, parameters: Any, source: str, *, prefix: str = "", grid: bool) -> None:
    """Add a `parameters` section to the draft. Parameters of nested sections get names with dots."""
    if not isinstance(parameters, dict) or not parameters:
        draft.refuse(source, f"must name at least one parameter: {shown(parameters)}")
        return
    for name, spec in parameters.items():
        if len(draft.search_space) + len(draft.errors) > MAX_PARAMETERS:  # aliases of YAML can stand for very many
            draft.refuse(source, f"must have {MAX_PARAMETERS} parameters at most")
            return
        field = f"{source}.{name}"
        if not isinstance(spec, dict):
            draft.refuse(field, f"must have value, values, or min and max: {shown(spec)}")
        elif "parameters" in spec:
            if len(spec) > 1:
                draft.refuse(field, f"parameters must stand alone: {_names(spec)}")
            else:
                add_parameters(draft, spec["parameters"], f"{field}.parameters", prefix=f"{prefix}{name}.", grid=grid)
        else:
            _add(draft, f"{prefix}{name}", field, spec, grid=grid)


def _add(draft: Draft, name: str, field: str, spec: dict[str, Any], *, grid: bool) -> None:
    if "distribution" not in spec and not spec.keys() & NAMES:
        _refuse_without_values(draft, field, spec)
        return
    kind = spec.get("distribution", _default_kind(spec))
    if not isinstance(kind, str) or kind not in FIELDS:
        draft.refuse(f"{field}.distribution", f"must be one of {', '.join(FIELDS)}: {shown(kind)}")
    elif unknown := spec.keys() - FIELDS[kind] - {"distribution"}:
        draft.refuse(field, f"{kind} takes {_names(FIELDS[kind])}: {_names(unknown)} given")
    elif kind == "constant":
        if "value" in spec:
            draft.fix(name, field, spec["value"])
        else:
            draft.refuse(field, "constant takes value, which is not given")
    elif kind == "categorical":
        _add_choices(draft, name, field, spec.get("values"))
    elif kind == "categorical_w_probabilities":
        draft.refuse(field, "probabilities have no counterpart: leave them out, and the sampler learns what is good")
    elif kind in UNBOUNDED:
        draft.refuse(field, f"{kind} has no ends, and a range here has two: {_bounds_for(kind, spec)}")
    elif "beta" in kind:
        draft.refuse(field, f"{kind} has no counterpart: take distribution: uniform with min: 0 and max: 1")
    elif "inv_log" in kind:
        draft.refuse(field, f"{kind} has no counterpart: search 1 - x by log_uniform_values, and subtract in your code")
    else:
        _add_range(draft, name, field, kind, spec, grid=grid)


def _refuse_without_values(draft: Draft, field: str, spec: dict[str, Any]) -> None:
    if spec and all(isinstance(part, dict) for part in spec.values()):
        nested = "{parameters: {" + ", ".join(f"{name}: …" for name in spec) + "}}"
        draft.refuse(field, f"nested parameters must stand under `parameters`: {nested}")
    else:
        draft.refuse(field, f"must have value, values, or min and max: {shown(spec)}")


def _default_kind(spec: dict[str, Any]) -> str:
    """Return the distribution of a parameter that names none."""
    if "value" in spec:
        return "constant"
    if "values" in spec:
        return "categorical_w_probabilities" if "probabilities" in spec else "categorical"
    return "int_uniform" if is_int(spec.get("min")) and is_int(spec.get("max")) else "uniform"


def _add_choices(draft: Draft, name: str, field: str, values: Any) -> None:
    wrong = no_choice(values)
    if wrong is not None:
        draft.refuse(f"{field}.values", wrong)
        return
    strings = [value for value in values if isinstance(value, str) and _is_written_number(value)]
    notes = [f"{shown(strings[0])} is a string, as YAML 1.1 reads it; a number has a point: 1.0e-3."] if strings else []
    draft.search(name, field, {"type": "categorical", "choices": list(values)}, *notes)


def _add_range(draft: Draft, name: str, field: str, kind: str, spec: dict[str, Any], *, grid: bool) -> None:
    notes: list[str] = []
    low, high, q = (_number(spec.get(part), part, notes) for part in ("min", "max", "q"))
    q = 1.0 if "q" not in spec else q
    for part, value in (("min", low), ("max", high), ("q", q)):
        if not is_number(value):
            draft.refuse(f"{field}.{part}", f"must be a number: {shown(value)}")
            return
    if not q > 0:
        draft.refuse(f"{field}.q", f"must be above 0: {q}")
        return
    if kind in EXPONENTS:
        if max(low, high) > 700:
            draft.refuse(field, f"{kind} takes exponents, and e to the power of {max(low, high)} is too large")
            return
        notes.append(f"{kind} has exponents: from e^{low} to e^{high}.")
        low, high = math.exp(low), math.exp(high)
    if grid and kind not in ("int_uniform", "q_uniform"):
        draft.refuse(field, f"grid takes value, values, int_uniform and q_uniform: it is {kind}")
    elif kind == "int_uniform":
        if is_int(low) and is_int(high):
            draft.search(name, field, {"type": "int", "low": low, "high": high}, *notes)
        else:
            draft.refuse(field, f"int_uniform takes whole numbers: min={low}, max={high}")
    elif kind == "uniform":
        draft.search(name, field, {"type": "float", "low": float(low), "high": float(high)}, *notes)
    elif kind in ("log_uniform", "log_uniform_values"):
        draft.search(name, field, {"type": "float", "low": float(low), "high": float(high), "log": True}, *notes)
    elif kind == "q_uniform" and grid:
        _add_arange(draft, name, field, low, high, q)
    elif kind == "q_uniform":
        first, last = nearest(low, q), nearest(high, q)
        draft.search(name, field, stepped(first, last, q), *notes, HALF_ENDS, *_moved(low, high, first, last))
    elif q == 1:
        first, last = round(low), round(high)
        parameter = {"type": "int", "low": first, "high": last, "log": True}
        draft.search(name, field, parameter, *notes, HALF_ENDS, *_moved(low, high, first, last))
    else:
        draft.refuse(field, f"{kind} with q={q} has no counterpart: take log_uniform_values and round in your code")


def _add_arange(draft: Draft, name: str, field: str, low: float, high: float, q: float) -> None:
    """Add the values of a grid in W&B, numpy.arange(min, max, q): steps of q from min, without max."""
    n_steps = math.ceil((high - low) / q) - 1
    if n_steps < 1:
        draft.refuse(field, f"must have more than one value below max: min={low}, max={high}, q={q}")
        return
    whole = is_int(low) and is_int(q)
    last = low + n_steps * q if whole else float(round(low + n_steps * q, 12))
    parameter = stepped(low, last, q) if whole else stepped(float(low), last, float(q))
    draft.search(name, field, parameter, f"W&B's grid leaves max out: {last} is its last value below {high}.")


def _moved(low: float, high: float, first: float, last: float) -> list[str]:
    if (low, high) == (first, last):
        return []
    return [f"Of {low} to {high}, W&B draws the multiples of q from {first} to {last}."]


def _bounds_for(kind: str, spec: dict[str, Any]) -> str:
    mu, sigma = spec.get("mu", 0.0), spec.get("sigma", 1.0)
    if not is_number(mu) or not is_number(sigma):
        return "take uniform with min and max"
    instead = "log_uniform" if "log" in kind else "uniform"
    return f"take {instead} with min: {mu - 2 * sigma:g} and max: {mu + 2 * sigma:g} (two sigma on either side)"


def _number(value: Any, part: str, notes: list[str]) -> Any:
    """Return a value, and a string that looks like a number, such as 1e-3 in YAML 1.1, as that number with a note."""
    if not isinstance(value, str) or not _is_written_number(value):
        return value
    notes.append(f"{part} is {value} here; W&B, which reads YAML 1.1, takes that for a string.")
    return float(value)


def _is_written_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def _names(names: Any) -> str:
    return ", ".join(sorted(map(str, names)))
