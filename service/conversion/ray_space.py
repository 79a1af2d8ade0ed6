"""The conversion of a Ray Tune search space: a dictionary of `tune.*` calls, constants and nested dictionaries."""

import ast
from typing import Any

from service.conversion.draft import Draft, shown
from service.conversion.numbers import above, below, is_int, is_number, no_choice, stepped
from service.conversion.python_source import Call, Source, SourceError, Unknown

TUNE = ("ray.tune.", "ray.tune.search.sample.", "ray.tune.search.")
PARAMETERS = {
    "uniform": ("lower", "upper"),
    "quniform": ("lower", "upper", "q"),
    "loguniform": ("lower", "upper", "base"),
    "qloguniform": ("lower", "upper", "q", "base"),
    "randint": ("lower", "upper"),
    "qrandint": ("lower", "upper", "q"),
    "lograndint": ("lower", "upper", "base"),
    "qlograndint": ("lower", "upper", "q", "base"),
    "choice": ("categories",),
    "grid_search": ("values",),
    "randn": ("mean", "sd"),
    "qrandn": ("mean", "sd", "q"),
    "sample_from": ("func",),
}
"""The parameters of each function, in their order."""
WHOLE = ("randint", "qrandint", "lograndint", "qlograndint")
OTHER_ODDS = "Ray rounds down on the log scale, Optuna to the nearest: the smallest come somewhat more often here."
HALF_ENDS = "Ray rounds to multiples of q, so the two ends come half as often there; here as often as the others."


def add_space(draft: Draft, space: dict[str, Any], *, source: str, prefix: str = "") -> list[str]:
    """Add a search space to the draft, and return the names that use `grid_search`."""
    gridded: list[str] = []
    for key, value in space.items():
        name, field = f"{prefix}{key}", f"{source}.{key}"
        value = _call_of(value)
        if isinstance(value, dict) and value.keys() == {"grid_search"}:
            value = Call("ray.tune.grid_search", (value["grid_search"],), {}, 0)
        if isinstance(value, dict) and value.keys() == {"eval"}:
            draft.refuse(
                field, f"is code, which is not run: {shown(value['eval'])}; say it by choice, uniform or randint"
            )
        elif isinstance(value, Call) and tune_name(value) in PARAMETERS:
            gridded += [name] if value.short == "grid_search" else []
            _add(draft, name, field, value)
        elif isinstance(value, Call):
            draft.refuse(field, f"{value.name} in line {value.line} is no constant and no search space of Ray Tune")
        elif isinstance(value, Unknown):
            draft.refuse(field, f"{value} is known only when the file runs: write its value there")
        elif isinstance(value, dict) and _searches(value):
            gridded += add_space(draft, value, source=field, prefix=f"{name}.")
        elif (unknown := _first_unknown(value)) is not None:
            draft.refuse(field, f"{unknown} is known only when the file runs: write its value there")
        elif isinstance(value, list | tuple) and any(isinstance(_call_of(item), Call) for item in value):
            draft.refuse(field, "a list must not hold search spaces: give each element a name of its own")
        else:
            draft.fix(name, field, value)
    return gridded


def tune_name(call: Call) -> str | None:
    """Return the name of a function of ray.tune; None for one of another module."""
    return call.short if any(call.name == f"{module}{call.short}" for module in TUNE) else None


def _call_of(value: Any) -> Any:
    """Return the call that a string in a JSON file holds, as in "tune.uniform(0, 1)"; any other value as it is."""
    if isinstance(value, str) and value.startswith("tune.") and value.endswith(")"):
        try:
            calls = Source(value).calls(*(f"ray.tune.{name}" for name in PARAMETERS))
            return calls[0] if calls and isinstance(ast.parse(value, mode="eval").body, ast.Call) else value
        except (SourceError, SyntaxError):
            return value
    return value


def _searches(space: dict[str, Any]) -> bool:
    """Whether a dictionary has a search space somewhere in it. Otherwise it is a constant."""
    for value in map(_call_of, space.values()):
        if isinstance(value, Call | Unknown):
            return True
        if isinstance(value, dict) and (value.keys() in ({"grid_search"}, {"eval"}) or _searches(value)):
            return True
    return False


def _first_unknown(value: Any) -> Unknown | Call | None:
    if isinstance(value, Unknown | Call) and not (isinstance(value, Call) and tune_name(value) in PARAMETERS):
        return value
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
    return next((found for item in items if (found := _first_unknown(item)) is not None), None)


def _add(draft: Draft, name: str, field: str, call: Call) -> None:
    kind = call.short
    names = PARAMETERS[kind]
    unknown = call.keywords.keys() - set(names)
    if len(call.arguments) > len(names) or unknown or call.keywords.keys() & set(names[: len(call.arguments)]):
        draft.refuse(field, f"tune.{kind} takes {', '.join(names)}: {_shown(call)}")
        return
    given = call.named(names)
    if kind == "sample_from":
        instead = "say it by choice, uniform or randint, or let an objective ask for it (docs/bring-your-objective.md)"
        draft.refuse(field, f"sample_from is code, which is not run: {instead}")
    elif (unread := _first_unknown([*given.values()])) is not None:
        draft.refuse(field, f"{unread} is known only when the file runs: write its value there")
    elif kind in ("randn", "qrandn"):
        draft.refuse(field, f"{kind} has no ends, and a range here has two: take uniform(mean - 2 * sd, mean + 2 * sd)")
    elif kind in ("choice", "grid_search"):
        _add_choices(draft, name, field, given.get(names[0]))
    else:
        _add_range(draft, name, field, kind, given)


def _add_choices(draft: Draft, name: str, field: str, values: Any) -> None:
    wrong = no_choice(values)
    if wrong is None:
        draft.search(name, field, {"type": "categorical", "choices": list(values)})
    elif isinstance(values, list | tuple) and any(isinstance(value, Call | dict) for value in values):
        draft.refuse(field, "choices with search spaces in them: search a name, and what depends on it with `when`")
    else:
        draft.refuse(field, wrong)


def _add_range(draft: Draft, name: str, field: str, kind: str, given: dict[str, Any]) -> None:
    low: Any = given.get("lower")
    high: Any = given.get("upper")
    q: Any = given.get("q", 1)
    whole, log = kind in WHOLE, "log" in kind
    for part, value in (("lower", low), ("upper", high), ("q", q)):
        if not (is_int(value) if whole else is_number(value)):
            draft.refuse(field, f"{kind} takes {part}, a {'whole ' if whole else ''}number: {shown(value)}")
            return
    if q <= 0 or (kind.startswith("q") and "q" not in given and kind != "qrandint"):
        draft.refuse(field, f"{kind} takes q, a number above 0: {shown(given.get('q'))}")
        return
    if log and kind.startswith("q") and not (whole and q == 1):
        draft.refuse(field, f"{kind} with q={q} has no counterpart: take {kind[1:]} and round in your code")
        return
    notes = ["base has no effect in Ray either."] if "base" in given else []
    if whole and q == 1:
        high -= 1  # exclusive there, also of qrandint and qlograndint, and inclusive here
        notes.append(f"{kind} leaves {high + 1} out.")
    if whole and log:
        draft.search(name, field, {"type": "int", "low": low, "high": high, "log": True}, *notes, OTHER_ODDS)
    elif whole:
        first, last = above(low, q), below(high, q)
        moved = (first, last) != (low, high)
        notes += [f"The multiples of {q} from {low} to {high}."] if moved else []
        notes += [HALF_ENDS] if q != 1 else []
        draft.search(name, field, stepped(first, last, q), *notes)
    elif kind == "quniform":
        first, last = above(low, q), below(high, q)
        if (first, last) != (low, high):
            draft.refuse(field, f"quniform takes ends that q divides: lower={low}, upper={high}, q={q}")
        else:
            draft.search(name, field, stepped(float(low), float(high), float(q)), *notes, HALF_ENDS)
    else:
        parameter = {"type": "float", "low": float(low), "high": float(high), **({"log": True} if log else {})}
        draft.search(name, field, parameter, *notes)


def _shown(call: Call) -> str:
    given = [*map(shown, call.arguments), *(f"{name}={shown(value)}" for name, value in call.keywords.items())]
    return f"{call.short}({', '.join(given)})"
