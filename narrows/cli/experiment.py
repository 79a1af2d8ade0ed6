"""`narrows experiment`: measure published figures again."""

import os
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from narrows.cli.options import DEFAULT, DataDir
from narrows.cli.terminal import say

if TYPE_CHECKING:
    from narrows.experiments.definition import Experiment
    from narrows.experiments.rows import Rows
    from narrows.experiments.runner import Measured
    from service.client import Client

LOGS = Path("narrows-logs")
RECORDS = Path(__file__).parents[2] / "benchmarks" / "records"

Name = Annotated[str | None, typer.Argument(metavar="NAME", help="Name of the experiment, or path of its YAML file.")]
List = Annotated[bool, typer.Option("--list", help="List the experiments.")]
Seeds = Annotated[
    int | None,
    typer.Option("--seeds", min=1, max=100, help="Number of seeds to run all of it with.", show_default="its own"),
]
Quick = Annotated[bool, typer.Option("--quick", help="Train two epochs and three trials: a check that it runs.")]
Report = Annotated[
    Path | None,
    typer.Option("--report", metavar="DIR", help="Write an HTML report of each search with its first seed."),
]
Record = Annotated[bool, typer.Option("--record", help="Write the tables to benchmarks/records/ of the checkout.")]


def experiment(
    name: Name = None,
    listed: List = False,
    seeds: Seeds = None,
    quick: Quick = False,
    record: Record = False,
    report: Report = None,
    data_dir: DataDir = DEFAULT["data_dir"],
) -> None:
    """Run an experiment on this machine, and show its figures beside the published ones.

    The command starts a service with its own database, and workers, and ends them again. The experiments are part of
    the repository, so it needs a checkout, or the path of a YAML file.
    """
    from narrows.cli.report import check_installed
    from narrows.errors import CommandError
    from narrows.experiments.definition import read_experiment
    from narrows.experiments.studies import quick_version

    if listed or name is None:
        _print_list()
        return
    if record and quick:
        raise CommandError("--record must not be given with --quick, whose figures mean nothing")
    if record and not RECORDS.is_dir():
        raise CommandError(f"--record needs a checkout of the repository: there is no {RECORDS}")
    if report is not None:
        check_installed()
    chosen = quick_version(read_experiment(name)) if quick else read_experiment(name)
    if seeds is not None:
        chosen = chosen.model_copy(update={"seeds": seeds})
    stem = Path(name).stem
    results = _run(stem, chosen, quick, data_dir, report)
    if record:
        say(f"recorded as {_write_record(stem, chosen, results)}")


def _print_list() -> None:
    from narrows.cli.output import console, plain_table
    from narrows.experiments.definition import experiment_names, read_experiment

    table = plain_table()
    for header in ("experiment", "what it shows", "data"):
        table.add_column(header)
    for name in experiment_names():
        listed = read_experiment(name)
        table.add_row(name, listed.title, listed.data)
    console().print(table)


def _run(name: str, experiment: "Experiment", quick: bool, data_dir: str, report: Path | None) -> "list[Rows]":
    from narrows.cli.output import console
    from narrows.experiments.tables import tables

    out = console()
    out.print(f"{experiment.title} ({experiment.source})", style="bold")
    if quick:
        out.print("quick: a few epochs and trials, so the figures only show that it runs")
    results = tables(experiment, _measure(name, experiment, data_dir, report))
    for rows in results:
        _print_rows(rows)
    out.print(f"\n{experiment.differences.strip()}", soft_wrap=True)
    return results


def _measure(name: str, experiment: "Experiment", data_dir: str, report: Path | None) -> "list[list[Measured]]":
    from narrows.cli.local_service import local_service
    from narrows.cli.processes import end_on_signals
    from narrows.experiments.runner import Runner
    from service.client import Client

    end_on_signals()
    with tempfile.TemporaryDirectory() as folder, local_service(Path(folder), LOGS) as service:
        service.start_workers(f"--data-dir={data_dir}")
        say(f"Logs in {LOGS}")
        with Client(service.server, os.environ.get("NARROWS_TOKEN")) as client:
            measured = Runner(client, service.check, say, data_dir).run(name, experiment)
            if report is not None:
                _write_reports(client, measured, report)
            return measured


def _write_reports(client: "Client", measured: "list[list[Measured]]", folder: Path) -> None:
    from narrows.cli.report import write_report
    from narrows.experiments.definition import Search

    for first, *_ in measured:
        if isinstance(first.variant, Search):
            say(f"{first.variant.label}: {write_report(client, first.final.study, folder / first.final.study)}")


def _print_rows(rows: "Rows") -> None:
    from narrows.cli.output import console, plain_table

    table = plain_table(f"\n{rows.title}")
    for number, header in enumerate(rows.header):
        table.add_column(header, justify="right" if number else "left", overflow="fold")
    for cells in rows.rows:
        table.add_row(*cells)
    console().print(table)


def _write_record(name: str, experiment: "Experiment", results: "list[Rows]") -> str:
    from narrows.experiments.machine import describe
    from narrows.experiments.rows import markdown

    about = f"- data: {experiment.data}\n- published by: {experiment.source}\n- seeds: {experiment.seeds}"
    parts = [f"# {experiment.title}", f"{describe()}\n{about}", *map(markdown, results), experiment.differences.strip()]
    path = RECORDS / f"{datetime.now(UTC):%Y-%m-%d}-experiment-{name}.md"
    path.write_text("\n\n".join(parts) + "\n")
    return path.name
