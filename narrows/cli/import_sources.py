"""Where `narrows import` reads trials from: a CSV file, a database of Optuna, or a journal file of Optuna."""

import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from narrows.errors import CommandError

if TYPE_CHECKING:
    from service.schemas.study.definition import Definition
    from storage.optuna_databases import OptunaStudy

JOURNAL_KEY = '"op_code"'
"""Every line of Optuna's journal is a JSON object with this name in it."""

SQLITE_HEAD = b"SQLite format 3\0"


@dataclass(frozen=True)
class FoundTrials:
    """Trials as the API's import takes them, and why each of the others cannot be read."""

    source: str
    trials: list[dict[str, Any]]
    distributions: dict[str, Any]
    unreadable: list[str]


def read_source(source: str, study: str | None, definition: "Definition") -> FoundTrials:
    """The trials of a file or database. Raises CommandError."""
    from storage import StorageError
    from storage.optuna_databases import read_journal, read_study

    if is_csv(source):
        return _of_file(Path(source), definition)
    if "://" not in source and is_sqlite(Path(source)):
        source = f"sqlite:///{Path(source).absolute()}"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # Optuna warns of choices that are no scalars
            found = read_study(source, study) if "://" in source else read_journal(source, study)
    except StorageError as error:
        raise CommandError(str(error)) from error
    return _of_optuna(found, definition)


def is_csv(source: str) -> bool:
    """Whether a source is a CSV file: any file that is no database and no journal. Raises OSError."""
    return "://" not in source and not is_sqlite(Path(source)) and not is_journal(Path(source))


def is_sqlite(file: Path) -> bool:
    """Whether a file is a database of SQLite. Raises OSError."""
    with file.open("rb") as content:
        return content.read(len(SQLITE_HEAD)) == SQLITE_HEAD


def is_journal(file: Path) -> bool:
    """Whether a file is a journal of Optuna's JournalStorage. Raises OSError."""
    with file.open(encoding="utf-8", errors="replace") as lines:
        line = lines.readline(4096)
    return line.startswith("{") and JOURNAL_KEY in line


def _of_file(file: Path, definition: "Definition") -> FoundTrials:
    from narrows.cli.csv_trials import CsvError, read_csv

    try:
        text = file.read_bytes().decode("utf-8-sig")  # read as text, it would lose carriage returns in cells
        trials, unreadable = read_csv(text, definition)
    except UnicodeDecodeError as error:
        raise CommandError(f"{file}: a CSV file must be UTF-8: {error}") from error
    except CsvError as error:
        raise CommandError(f"{file}: {error}") from error
    return FoundTrials(file.name, trials, {}, unreadable)


def _of_optuna(study: "OptunaStudy", definition: "Definition") -> FoundTrials:
    from pydantic import TypeAdapter, ValidationError

    from service.schemas.imports import ImportedTrial
    from service.schemas.locations import first_error
    from service.schemas.optuna import described, imported
    from service.schemas.study.search_space import Distribution

    theirs = [direction.name.lower() for direction in study.directions]
    ours = [objective.direction for objective in definition.objectives]
    if theirs != ours:
        raise CommandError(
            f"directions must be those of {definition.name} ({', '.join(ours)}): {study.name} has {', '.join(theirs)}"
        )
    unread = {"last_step", "last_value"} if len(ours) > 1 else set()
    trials, unreadable = [], []
    distributions: dict[str, Any] = {}
    unusable: dict[str, str] = {}
    for original in study.trials:
        for name, kind in original.distributions.items():
            if name in distributions or name in unusable:
                continue
            written = _plain(described(kind).model_dump(mode="json", warnings=False))
            try:
                TypeAdapter(Distribution).validate_python(written)
                distributions[name] = written
            except ValidationError as error:
                unusable[name] = first_error(error)
        trial = imported(original).model_dump(mode="json", exclude_none=True, exclude=unread, warnings=False)
        trial["params"] = {name: _text(value) for name, value in original.params.items()}
        unknown = [name for name in trial["params"] if name in unusable and name not in definition.search_space]
        try:
            ImportedTrial.model_validate(trial)
        except ValidationError as error:
            unreadable.append(f"trial {original.number}: {first_error(error)}")
            continue
        if unknown and definition.asks_for_params:
            unreadable.append(f"trial {original.number}: distribution of {unknown[0]}: {unusable[unknown[0]]}")
            continue
        trials.append(trial)
    if not trials and unreadable:
        raise CommandError(f"no trial of study {study.name} can be read: {unreadable[0]}")
    return FoundTrials(f"study {study.name} of Optuna", trials, distributions, unreadable)


def _plain(distribution: Mapping[str, Any]) -> dict[str, Any]:
    """A distribution whose choices are scalars: Optuna takes any value for a choice, for example a list."""
    if "choices" not in distribution:
        return dict(distribution)
    return {**distribution, "choices": [_text(choice) for choice in distribution["choices"]]}


def _text(value: Any) -> Any:
    """A scalar as it is, and any other value as its JSON text, which may be a choice of the search space."""
    if value is None or isinstance(value, str | int | float | bool):
        return value
    return json.dumps(value, default=str)
