"""Checks a definition without creating its study."""

from service.errors import StateConflictError, StudyNotFoundError
from service.imports.import_trials import warm_start_imports
from service.registry.creation_checks import check_new_definition, is_replaceable
from service.registry.registry import Registry
from service.schemas.study.definition import Definition
from service.schemas.study_check import StudyCheck


def check_study(registry: Registry, definition: Definition) -> StudyCheck:
    """What creating a study would meet. Raises InvalidError as creating it does."""
    existing, is_known = registry.find(definition.name), True
    try:
        registry.get(definition.name)
    except StudyNotFoundError:
        is_known = False
    except StateConflictError:  # a study that cannot be loaded
        existing = None
    is_same = existing is not None and existing.is_defined_by(definition)
    if not is_same:
        check_new_definition(definition, registry.custom_samplers)
        warm_start_imports(definition, registry.get)
    return StudyCheck(
        name=definition.name,
        n_trials=definition.n_trials,
        existing="same" if is_same else "other" if is_known else None,
        replaceable=existing is not None and not is_same and is_replaceable(existing),
    )
