"""The command line of the workers of a machine."""

from pathlib import Path

import pytest

from narrows.cli.settings import SETTINGS
from workers.options import Options, parse

LINE = ["--server=http://x", "--devices=cpu", "--checkpoint-seconds=30.0", "--keep-models=best", "--data-dir=data"]
LINE += ["--download=False", "--log-level=info"]


def test_options_are_those_of_the_command_line(tmp_path: Path) -> None:
    more = [
        "--lanes=4",
        "--allow=mine",
        "--allow=yours.train",
        f"--code={tmp_path}",
        "--keep-folders=kept",
        "--exit-when-idle=1.5",
    ]
    options = parse([*LINE, *more], "secret")
    assert (options.lanes, options.allow, options.code) == (4, ("mine", "yours.train"), tmp_path)
    assert (options.download, options.exit_when_idle, options.study) == (False, 1.5, None)
    assert options.keep_folders == Path.cwd() / "kept"
    assert options.token == "secret"


def test_automatic_lanes_are_none() -> None:
    assert parse([*LINE, "--lanes=auto"]).lanes is None


@pytest.mark.parametrize("argument", ["--allow=a.", "--keep-models=some", "--lanes=many", "--code=/nowhere"])
def test_a_value_that_breaks_a_rule_is_refused(argument: str) -> None:
    with pytest.raises(ValueError, match=argument.split("=")[1]):
        parse([*LINE, argument])


def test_every_setting_of_the_worker_is_an_option() -> None:
    names = {setting.name for setting in SETTINGS if "worker" in setting.commands}
    assert set(Options.model_fields) == names
