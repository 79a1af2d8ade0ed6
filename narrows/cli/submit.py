"""`narrows submit` and `narrows watch`: create a study, and follow its progress."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from narrows.cli.confirmation import Yes, confirm
from narrows.cli.options import StudyName, with_client
from narrows.cli.terminal import say
from narrows.errors import CommandError

if TYPE_CHECKING:
    from service.client import Client
    from service.schemas.results import Study
    from service.schemas.study_check import StudyCheck

File = Annotated[Path, typer.Argument(metavar="FILE", help="Study definition, YAML or JSON.", show_default=False)]
Check = Annotated[bool, typer.Option("--check", help="Check the definition only, and create no study.")]
Watch = Annotated[bool, typer.Option("--watch", help="Show the study's progress until it ends.")]

Replace = Annotated[bool, typer.Option("--replace", help="Replace a study of this name if it has no complete trial.")]


@with_client
def submit(
    client: "Client", file: File, check: Check = False, watch: Watch = False, replace: Replace = False, yes: Yes = False
) -> None:
    """Create a study from a definition. The same definition again returns the existing study."""
    from narrows.cli.output import console
    from service.client.text import counted

    definition = read_definition(file)
    if check:
        checked = client.check_study(file.read_bytes())
        say(f"{file} is valid, {counted(checked.n_trials, 'trial')}: {_existing(checked)}")
        return
    study, how = _create(client, definition, replace=replace, yes=yes)
    n_trials = counted(study.definition.n_trials, "trial")
    say(f"{study.name} is {how}. It is {study.state}, {n_trials}: {client.server}/studies/{study.name}")
    if watch:
        client.watch(study.name, console())


def _existing(checked: "StudyCheck") -> str:
    """What creating the study would meet, in words."""
    if checked.existing is None:
        return f"{checked.name} would be created"
    if checked.existing == "same":
        return f"{checked.name} exists with this definition"
    how = "--replace replaces it" if checked.replaceable else "choose another name"
    return f"{checked.name} exists with another definition: {how}"


def _create(client: "Client", definition: dict[str, Any], *, replace: bool, yes: bool) -> "tuple[Study, str]":
    """Return the study, and what became of it in words."""
    from service.client import ServiceError

    try:
        study = client.create_study(definition)
        return study, "created" if study.is_new else "unchanged, it exists with this definition"
    except ServiceError as error:
        if error.code != "study_exists":
            raise
        if not replace:
            raise CommandError(f"{error}; --replace replaces a study that has no complete trial") from error
    name = definition["name"]
    n_complete = client.study(name).trial_counts.COMPLETE
    if n_complete:
        raise CommandError(f"study {name} has complete trials ({n_complete}): it cannot be replaced")
    confirm(f"Replace study {name} and delete its trials?", yes=yes)
    return client.create_study(definition, replace=True), "replaced"


@with_client
def watch(client: "Client", study: StudyName) -> None:
    """Show a study's progress until it ends."""
    from narrows.cli.output import console, unfinished_text
    from service.client.text import metrics_of

    watched = client.watch(study, console())
    metrics = metrics_of(watched)
    if len(metrics) == 1 and watched.trial_counts.PRUNED + watched.trial_counts.WAITING > 0:
        unfinished = client.best_trials(study, 1).better_unfinished
        if unfinished is not None:
            say(unfinished_text(metrics[0], unfinished))


def read_definition(file: Path) -> dict[str, Any]:
    """Return the definition in a file, unchecked: the service checks it. Raises CommandError."""
    from service.schemas.yaml_text import YamlError, load

    try:
        definition = load(file.read_bytes())
    except YamlError as error:
        raise CommandError(f"{file}: {error}") from error
    if not isinstance(definition, dict):
        raise CommandError(f"{file}: a definition must be a mapping of fields, as in examples/digits.yaml")
    return definition
