"""Trials from elsewhere: taken in when a study is made or when a user brings them, and shown to its sampler."""

import hashlib
import itertools
import json
import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from optuna.trial import FrozenTrial

from service.errors import InvalidError, StateConflictError, StudyNotFoundError
from service.imports.rule import why_not
from service.imports.view import import_view
from service.results.view import trial_views
from service.sampling.constraints import constraint_names, distances
from service.sampling.imported import DISTRIBUTIONS
from service.sampling.samplers import chosen_sampler
from service.schemas.imports import Distributions, Import, ImportedTrial, NewImport
from service.schemas.optuna import described, imported
from service.schemas.study.definition import Definition
from service.schemas.study.samplers import MAX_IMPORTED, SAMPLERS, Auto, sampler_name
from service.study.live_study import LiveStudy
from storage import ImportRecord, Store

BY_DEFINITION = "warm_start_from"
USER_ATTR = "imported_trials"
"""Of the study, for those who look at the database: how many trials its sampler knows that are not there."""

MAX_ERRORS = 20
"""That an answer has of trials that break a rule."""

Found = tuple[ImportedTrial, Distributions]
"""A trial with its distributions, as far as they are known."""


@dataclass(frozen=True)
class Taken:
    """Trials that fit a study, ready to be kept."""

    source: str
    trials: Sequence[ImportedTrial]
    left_out: Mapping[str, int]
    distributions: Distributions


def import_trials(live: LiveStudy, wanted: NewImport, requested_by: str) -> tuple[Import, bool]:
    """Take in what fits of a user's trials, all or none; the same ones again are the same import, and not new.

    Raises InvalidError and StateConflictError, and then nothing has changed.
    """
    with live.working():
        live.tick()
        live.check_not_deleted()
        if live.final is not None:
            raise StateConflictError(f"study {live.record.name} is a final evaluation: its trials are given")
        known = live.store.imports.of_study(live.record.study_id)
        digest = hashlib.sha256(json.dumps(wanted.model_dump(mode="json"), sort_keys=True).encode()).hexdigest()
        same = next((one for one in known if one.digest == digest), None)
        if same is not None:
            return import_view(same), False
        errors = list(_sampler_errors(live.definition, "sampler"))
        errors += itertools.islice(_trial_errors(live.definition, wanted), MAX_ERRORS)
        if errors:
            raise InvalidError(errors)
        found = [(trial, wanted.distributions) for trial in wanted.trials]
        taken = _take(live.definition, "trials", wanted.source, found, sum(len(one.trials) for one in known))
        record = keep(live.store, live.record.study_id, taken, live.clock.now(), requested_by, digest)
        live.learn_from_imports()
        live.news.trials_imported(f"{len(record.trials)} trials of {record.source}")
        return import_view(record), True


def warm_start(definition: Definition, find: Callable[[str], LiveStudy]) -> list[Taken]:
    """What a definition's `warm_start_from` brings in; `find` raises StudyNotFoundError. Raises InvalidError."""
    if not definition.warm_start_from:
        return []
    errors = list(_sampler_errors(definition, BY_DEFINITION))
    if errors:
        raise InvalidError(errors)
    taken: list[Taken] = []
    for index, name in enumerate(definition.warm_start_from):
        field = f"{BY_DEFINITION}.{index}"
        source = _source(definition, field, name, find)
        found = [(trial, _described(known)) for trial, known in _trials_of(source, definition)]
        taken.append(_take(definition, field, f"study {name}", found, sum(len(one.trials) for one in taken)))
    return taken


def keep(
    store: Store, study_id: int, taken: Taken, now: datetime, requested_by: str, digest: str | None = None
) -> ImportRecord:
    """Write an import down, in the transaction at hand."""
    known = store.imports.of_study(study_id)
    record = ImportRecord(
        study_id=study_id,
        number=len(known),
        source=taken.source,
        digest=digest or "",
        imported_at=now,
        requested_by=requested_by,
        left_out=dict(taken.left_out),
        distributions=DISTRIBUTIONS.dump_python(taken.distributions, mode="json"),
        trials=[trial.model_dump(mode="json") for trial in taken.trials],
    )
    store.imports.add(record)
    n_imported = sum(len(one.trials) for one in (*known, record))
    store.optuna.set_study_user_attr(study_id, USER_ATTR, n_imported)
    return record


def _take(definition: Definition, field: str, source: str, found: Sequence[Found], n_before: int) -> Taken:
    """What fits. Raises InvalidError when nothing does, or too much."""
    reasons = [why_not(definition, trial, distributions) for trial, distributions in found]
    left_out: Counter[str] = Counter(reason for reason in reasons if reason is not None)
    fitting = [one for one, reason in zip(found, reasons, strict=True) if reason is None]
    if not fitting:
        counted = ", ".join(f"{n} by their {reason}" for reason, n in sorted(left_out.items())) or "there are none"
        raise InvalidError([(field, f"a trial at least must fit the search space: of {source} {counted}")])
    if n_before + len(fitting) > MAX_IMPORTED:
        n_all = n_before + len(fitting)
        raise InvalidError([(field, f"a study must import at most {MAX_IMPORTED} trials: {n_all} with {source}")])
    others = {
        name: one
        for _, distributions in fitting
        for name, one in distributions.items()
        if name not in definition.search_space
    }
    return Taken(source, [_own_constraints(definition, trial) for trial, _ in fitting], left_out, others)


def _trials_of(source: LiveStudy, definition: Definition) -> Iterator[tuple[ImportedTrial, FrozenTrial]]:
    """Trials of a study, held against another one's constraints: its own may have had other bounds."""
    trials = source.study.get_trials(deepcopy=False)
    if not definition.constraints:
        yield from ((imported(trial), trial) for trial in trials)
        return
    for trial, view in zip(trials, trial_views(source.store, source, trials), strict=True):
        constraints = distances(definition.constraints, view.metrics)
        yield imported(trial).model_copy(update={"constraints": constraints}), trial


def _own_constraints(definition: Definition, trial: ImportedTrial) -> ImportedTrial:
    """A trial without constraints that are none of the study's; an entrypoint may set any."""
    if definition.is_user_code:
        return trial
    names = constraint_names(definition)
    kept = {name: value for name, value in trial.constraints.items() if name in names}
    return trial.model_copy(update={"constraints": kept})


def _described(trial: FrozenTrial) -> Distributions:
    return {name: described(one) for name, one in trial.distributions.items()}


def _source(definition: Definition, field: str, name: str, find: Callable[[str], LiveStudy]) -> LiveStudy:
    try:
        source = find(name)
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


def _trial_errors(definition: Definition, wanted: NewImport) -> Iterator[tuple[str, str]]:
    n_objectives = len(definition.objectives)
    for index, trial in enumerate(wanted.trials):
        values = trial.values or []
        if trial.state == "COMPLETE" and len(values) != n_objectives:
            yield f"trials.{index}.values", f"values must have one number for each objective: {len(values)} given"
        if any(math.isnan(value) for value in (*values, trial.last_value or 0.0, *trial.constraints.values())):
            yield f"trials.{index}.values", "values and constraints must be numbers: nan"
        if (trial.last_step is None) != (trial.last_value is None):
            yield f"trials.{index}.last_step", "last_step and last_value must be given together"
        elif trial.last_step is not None and n_objectives > 1:
            rule = "last_step and last_value must be null with several objectives, which no pruner takes"
            yield f"trials.{index}.last_step", f"{rule}: {trial.last_step}"
        for name in trial.params:
            if name not in definition.search_space and name not in wanted.distributions and definition.is_user_code:
                yield f"trials.{index}.params.{name}", f"{name} must be in distributions: search_space lacks it"


# What clients see
