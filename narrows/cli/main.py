"""The `narrows` command. Each subcommand imports what it needs when it runs, so that none waits for unused imports."""

import sys
from importlib.metadata import version
from typing import Annotated

import typer

from narrows.cli import (
    convert,
    demo,
    diagnose,
    experiment,
    final,
    imports,
    logs,
    narrow,
    report,
    retry,
    serve,
    studies,
    submit,
    token,
    trials,
    worker,
)
from narrows.cli.terminal import complain, say
from service.schemas.terminal_text import one_line

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,  # plain help shows the whole name of every environment variable
    add_completion=False,
    pretty_exceptions_enable=False,
)

for command in (
    serve.serve,
    worker.worker,
    demo.demo,
    submit.submit,
    submit.watch,
    studies.studies,
    studies.workers,
    studies.pause,
    studies.resume,
    studies.stop,
    studies.extend,
    studies.delete,
    trials.trials,
    trials.best,
    trials.export,
    trials.model,
    retry.retry,
    logs.logs,
    final.final,
    diagnose.diagnose,
    report.report,
    experiment.experiment,
    narrow.narrow,
    convert.convert,
):
    app.command()(command)
app.command("import")(imports.import_trials)
app.add_typer(token.app, name="token")


def _print_version(given: bool) -> None:
    if given:
        say(f"narrows {version('narrows')}")
        raise typer.Exit


@app.callback()
def root(
    _version: Annotated[
        bool, typer.Option("--version", help="Print the version.", is_eager=True, callback=_print_version)
    ] = False,
) -> None:
    """Hyperparameter search for PyTorch: a service, its workers, and commands to use it.

    Every setting can be given by a flag or by an environment variable. The flag wins.
    """


def main() -> None:
    """Run the command line of this process and exit."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run a command and return the exit status: 0, 1 for an error, 2 for wrong usage, 130 after Ctrl-C."""
    try:
        status = app(arguments, prog_name="narrows", standalone_mode=False)
        sys.stdout.flush()
    except typer.TyperException as error:
        from narrows.cli.errors import usage_line

        return _fail([usage_line(error)], error.exit_code)
    except (BrokenPipeError, typer.Abort):
        return _silence()
    except Exception as error:
        from narrows.cli.errors import lines_of

        lines = lines_of(error)
        if lines is None:
            raise
        return _fail(lines, 1)
    return status if isinstance(status, int) else 0


def _fail(lines: list[str], status: int) -> int:
    for line in lines:
        complain(f"narrows: {one_line(line)}")
    return status


def _silence() -> int:
    """Nobody reads the output any more: discard the rest, also what the interpreter flushes at its end."""
    sys.stdout = open("/dev/null", "w")  # noqa: PTH123, SIM115
    return 1


if __name__ == "__main__":
    main()
