"""Import trials from elsewhere into a study, by its definition or by a user's call, and show them to its sampler."""

import hashlib
import itertools
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from optuna.trial import FrozenTrial

from service.errors import InvalidError, StateConflictError, StudyNotFoundError
from service.imports.rule import default_errors, why_left_out, with_defaults
from service.imports.view import import_view
from service.results.view import trial_views
from service.sampling.constraints import constraint_names, constraint_values
from service.sampling.imported import DISTRIBUTIONS
from service.sampling.samplers import chosen_sampler
from service.schemas.imports import Distributions, Import, ImportedTrial, NewImport
from service.schemas.optuna import described, imported
from service.schemas.study.definition import Definition
from service.schemas.study.samplers import MAX_IMPORTED, SAMPLERS, Auto, sampler_name
from service.schemas.study.search_space import is_active
from service.study.live_study import LiveStudy
from storage import ImportRecord, Store

BY_DEFINITION = "warm_start_from"

USER_ATTR = "imported_trials"
"""User attribute of a study in Optuna's tables: the number of imported trials, which are not trials of the study."""

MAX_ERRORS = 20
"""How many errors about trials an answer lists."""

TrialWithDistributions = tuple[ImportedTrial, Distributions]
"""A trial and the known distributions of its parameters."""


@dataclass(frozen=True)
class FittingTrials:
    """The trials of one source that fit a study, and how many were left out for each reason."""

    source: str
    trials: Sequence[ImportedTrial]
    left_out: Mapping[str, int]
    distributions: Distributions


def import_trials(live: LiveStudy, new: NewImport, requested_by: str, *, check: bool = False) -> tuple[Import, bool]:
    """Import those of a user's trials that fit. Returns the import, and False if the same call has made it before.

    With `check`, nothing is imported; the answer is what it would be, with False. Raises InvalidError and
    StateConflictError; then nothing is imported.
    """
    digest = import_digest(new)
    with live.committed_change():
        live.tick()
        live.check_not_deleted()
        if live.final is not None:
            raise StateConflictError(f"study {live.record.name} is a final evaluation: its trials are given")
        known = live.store.imports.of_study(live.record.study_id)
        same = next((record for record in known if record.digest == digest), None)
        if same is not None:
            return import_view(same), False
        errors = list(_sampler_errors(live.definition, "sampler"))
        errors += default_errors(live.definition, new.defaults, "defaults")
        errors += itertools.islice(_trial_errors(live.definition, new), MAX_ERRORS)
        if errors:
            raise InvalidError(errors)
        trials = [(with_defaults(live.definition, trial, new.defaults), new.distributions) for trial in new.trials]
        n_before = sum(record.n_trials for record in known)
        fitting = _fitting_trials(live.definition, "trials", new.source, trials, n_before, may_be_none=new.allow_empty)
        record = _new_import(known, live.record.study_id, fitting, live.clock.now(), requested_by, digest)
        if check:
            return import_view(record), False
        _save_import(live.store, known, record)
        live.learn_from_imports()
        live.events.trials_imported(f"{record.n_trials} trials of {record.source}")
        return import_view(record), True


def import_digest(new: NewImport) -> str:
    """The SHA-256 of an import as JSON with sorted keys.

    It is made trial by trial, because no other thread goes on while `json` or pydantic writes a value.
    """
    others = new.model_copy(update={"trials": []}).model_dump(mode="json")
    digest = hashlib.sha256(json.dumps(others, sort_keys=True).removesuffix("]}").encode())  # the trials come last
    for index, trial in enumerate(new.trials):
        separator = ", " if index else ""
        digest.update(f"{separator}{json.dumps(trial.model_dump(mode='json'), sort_keys=True)}".encode())
    digest.update(b"]}")
    return digest.hexdigest()


def warm_start_imports(definition: Definition, get_study: Callable[[str], LiveStudy]) -> list[FittingTrials]:
    """The trials to import from each study of a definition's `warm_start_from`. Raises InvalidError.

    `get_study` returns a study by name or raises StudyNotFoundError.
    """
    if not definition.warm_start_from and not definition.warm_start_defaults:
        return []
    defaults = definition.warm_start_defaults
    errors = [*_sampler_errors(definition, BY_DEFINITION), *default_errors(definition, defaults, "warm_start_defaults")]
    if errors:
        raise InvalidError(errors)
    imports: list[FittingTrials] = []
    for index, name in enumerate(definition.warm_start_from):
        field = f"{BY_DEFINITION}.{index}"
        source = _source_study(definition, field, name, get_study)
        trials = [
            (with_defaults(definition, trial, defaults), _distributions(original))
            for trial, original in _trials_of(source, definition)
        ]
        n_before = sum(len(earlier.trials) for earlier in imports)
        imports.append(_fitting_trials(definition, field, f"study {name}", trials, n_before))
    return imports


def save_import(
    store: Store, study_id: int, fitting: FittingTrials, now: datetime, requested_by: str, digest: str = ""
) -> ImportRecord:
    """Write an import in the caller's transaction. `digest` identifies the call of a user that made it."""
    known = store.imports.of_study(study_id)
    record = _new_import(known, study_id, fitting, now, requested_by, digest)
    _save_import(store, known, record)
    return record


def _save_import(store: Store, known: Sequence[ImportRecord], record: ImportRecord) -> None:
    store.imports.add(record)
    n_imported = sum(saved.n_trials for saved in (*known, record))
    store.optuna.set_study_user_attr(record.study_id, USER_ATTR, n_imported)


def _new_import(
    known: Sequence[ImportRecord],
    study_id: int,
    fitting: FittingTrials,
    now: datetime,
    requested_by: str,
    digest: str,
) -> ImportRecord:
    return ImportRecord(
        study_id=study_id,
        number=len(known),
        source=fitting.source,
        digest=digest,
        imported_at=now,
        requested_by=requested_by,
        left_out=dict(fitting.left_out),
        distributions=DISTRIBUTIONS.dump_python(fitting.distributions, mode="json"),
        trials=[trial.model_dump(mode="json") for trial in fitting.trials],
    )


def _fitting_trials(
    definition: Definition,
    field: str,
    source: str,
    trials: Sequence[TrialWithDistributions],
    n_before: int,
    *,
    may_be_none: bool = False,
) -> FittingTrials:
    """Select the trials that fit.

    Raises InvalidError if none does, unless there `may_be_none`, or if there are too many with `n_before`.
    """
    reasons = [why_left_out(definition, trial, distributions) for trial, distributions in trials]
    left_out: Counter[str] = Counter(reason for reason in reasons if reason is not None)
    fitting = [pair for pair, reason in zip(trials, reasons, strict=True) if reason is None]
    if not fitting and not may_be_none:
        counted = ", ".join(f"{n} left out because of their {reason}" for reason, n in sorted(left_out.items()))
        problem = f"at least one trial must fit the search space: {source} has none ({counted or 'no trials'})"
        raise InvalidError([(field, f"{problem}{_missing(definition, field, trials)}")])
    if n_before + len(fitting) > MAX_IMPORTED:
        n_all = n_before + len(fitting)
        raise InvalidError([(field, f"a study must import at most {MAX_IMPORTED} trials: {n_all} with {source}")])
    outside_search_space = {
        name: distribution
        for _, distributions in fitting
        for name, distribution in distributions.items()
        if name not in definition.search_space
    }
    selected = [_with_study_constraints(definition, trial) for trial, _ in fitting]
    return FittingTrials(source, selected, left_out, outside_search_space)


def _missing(definition: Definition, field: str, trials: Sequence[TrialWithDistributions]) -> str:
    """Which parameters all trials lack, and where to say what they were, as the end of a sentence."""
    space = definition.search_space
    lacking = [
        name
        for name, parameter in space.items()
        if trials and all(name not in one.params and is_active(parameter, one.params) for one, _ in trials)
    ]
    if not lacking:
        return ""
    defaults = "warm_start_defaults" if field.startswith(BY_DEFINITION) else "defaults (narrows import --default)"
    return f"; the trials lack {', '.join(lacking)}: {defaults} can say what it was for them"


def _trials_of(source: LiveStudy, definition: Definition) -> Iterator[tuple[ImportedTrial, FrozenTrial]]:
    """The trials of a source study, with their constraint values by another study's definition, and as Optuna has them.

    The source study may have had constraints with other bounds.
    """
    trials = source.study.get_trials(deepcopy=False)
    if not definition.constraints:
        yield from ((imported(trial), trial) for trial in trials)
        return
    for trial, view in zip(trials, trial_views(source, trials), strict=True):
        constraints = constraint_values(definition.constraints, view.metrics)
        yield imported(trial).model_copy(update={"constraints": constraints}), trial


def _with_study_constraints(definition: Definition, trial: ImportedTrial) -> ImportedTrial:
    """The trial with only the constraints that the study has. The code of an entrypoint may set any constraint."""
    if definition.asks_for_params:
        return trial
    names = constraint_names(definition)
    constraints = {name: value for name, value in trial.constraints.items() if name in names}
    return trial.model_copy(update={"constraints": constraints})


def _distributions(trial: FrozenTrial) -> Distributions:
    return {name: described(distribution) for name, distribution in trial.distributions.items()}


def _source_study(definition: Definition, field: str, name: str, get_study: Callable[[str], LiveStudy]) -> LiveStudy:
    """The study to import from. Raises InvalidError if it is unknown or has other objectives."""
    try:
        source = get_study(name)
    except StudyNotFoundError as error:
        raise InvalidError([(field, f"must name a study of this service: {name!r}")]) from error
    theirs, ours = _objectives(source.definition), _objectives(definition)
    if theirs != ours:
        raise InvalidError([(field, f"study {name} must have the same objectives ({ours}): it has {theirs}")])
    return source


def _objectives(definition: Definition) -> str:
    return ", ".join(f"{objective.direction} {objective.metric}" for objective in definition.objectives)


def _sampler_errors(definition: Definition, field: str) -> Iterator[tuple[str, str]]:
    sampler = chosen_sampler(definition)
    if sampler.most_imported == 0:
        learning = [sampler_name(kind) for kind in SAMPLERS if kind.most_imported > 0 and kind is not Auto]
        name = sampler.name
        shown = name if definition.sampler.name == name else f"{definition.sampler.name}, which is {name} here"
        yield field, f"sampler must be one that learns from trials of others, {' or '.join(learning)}: {shown}"


def _trial_errors(definition: Definition, new: NewImport) -> Iterator[tuple[str, str]]:
    n_objectives = len(definition.objectives)
    for index, trial in enumerate(new.trials):
        values = trial.values or []
        if trial.state == "COMPLETE" and len(values) != n_objectives:
            yield f"trials.{index}.values", f"values must have one number for each objective: {len(values)} given"
        if (trial.last_step is None) != (trial.last_value is None):
            yield f"trials.{index}.last_step", "last_step and last_value must be given together"
        elif trial.last_step is not None and n_objectives > 1:
            rule = "last_step and last_value must be null with several objectives"
            yield f"trials.{index}.last_step", f"{rule}: {trial.last_step}"
        for name in trial.params:
            if name not in definition.search_space and name not in new.distributions and definition.asks_for_params:
                yield f"trials.{index}.params.{name}", f"{name} must be in distributions: search_space lacks it"
