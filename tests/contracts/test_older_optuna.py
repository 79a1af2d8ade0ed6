"""A database that an older Optuna made: refused with a word of advice, and at home after Optuna's own upgrade."""

import math
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.storages import RDBStorage
from optuna.trial import TrialState
from sqlalchemy import create_engine, event, inspect, text
from sqlalchemy.pool import Pool

from storage import GroupCommitStorage, InvalidDatabaseUrlError, Store
from storage.database.opening import parse_url
from storage.optuna_databases import read_study
from tests.commands import run
from tests.conftest import clean_environment
from tests.contracts.checked_storage import comparable
from tests.waiting import PATIENCE_SECONDS

pytestmark = pytest.mark.processes

SCRIPTS = Path(__file__).parent / "optuna_2_10"
INFINITE = "INSERT INTO trial_intermediate_values VALUES (2, 1, 1, :value)"
OPTUNA = str(Path(sys.executable).with_name("optuna"))


def statements(script: str) -> list[str]:
    lines = (SCRIPTS / script).read_text().splitlines()
    return [part for part in "\n".join(line for line in lines if not line.startswith("--")).split(";") if part.strip()]


@pytest.fixture
def old_url(empty_database_url: str) -> str:
    """The address of a database of Optuna 2.10, as stock Optuna wants it."""
    url = parse_url(empty_database_url)
    engine = create_engine(url)
    with engine.begin() as connection:
        for statement in statements(f"schema_{engine.dialect.name}.sql") + statements("rows.sql"):
            connection.exec_driver_sql(statement)
        connection.execute(text(INFINITE), {"value": math.inf})
    engine.dispose()
    return url.render_as_string(hide_password=False)


def upgrade(url: str) -> None:
    subprocess.run(
        [OPTUNA, "storage", "upgrade", "--storage", url], check=True, capture_output=True, timeout=PATIENCE_SECONDS
    )


def tables(url: str) -> set[str]:
    engine = create_engine(url)
    names = set(inspect(engine).get_table_names())
    engine.dispose()
    return names


def test_a_service_refuses_it_with_one_line_that_tells_what_to_do(old_url: str, tmp_path: Path) -> None:
    before = tables(old_url)
    refused = run("serve", "--port", "0", "--database", old_url, environment=clean_environment(), cwd=tmp_path)
    assert (refused.returncode, refused.stdout) == (1, "")
    (line,) = refused.stderr.splitlines()
    assert line.startswith(f"narrows: Optuna refuses the database {old_url}: ")
    assert "set up by optuna 2.10.1" in line
    assert "optuna storage upgrade --storage" in line
    assert tables(old_url) == before, "it is left as it was"
    upgrade(old_url)
    Store.open(old_url).close()


@pytest.fixture
def n_open() -> Iterator[Callable[[], int]]:
    """How many connections to databases are open now of those that were opened since, as their pools count."""
    opened: set[int] = set()

    def on_connect(connection: object, _record: object) -> None:
        opened.add(id(connection))

    def on_close(connection: object, _record: object) -> None:
        opened.discard(id(connection))

    event.listen(Pool, "connect", on_connect)
    event.listen(Pool, "close", on_close)
    yield lambda: len(opened)
    event.remove(Pool, "connect", on_connect)
    event.remove(Pool, "close", on_close)


@pytest.mark.parametrize("read", [GroupCommitStorage, lambda url: read_study(url, None)], ids=["service", "import"])
def test_a_refused_database_is_closed_at_once(
    old_url: str, n_open: Callable[[], int], read: Callable[[str], object]
) -> None:
    with pytest.raises(InvalidDatabaseUrlError, match="Optuna refuses the database"):
        read(old_url)
    assert n_open() == 0


def test_after_the_upgrade_it_is_read_as_stock_optuna_reads_it(old_url: str) -> None:
    with pytest.raises(InvalidDatabaseUrlError):
        GroupCommitStorage(old_url)
    upgrade(old_url)
    stock = RDBStorage(old_url)
    storage = GroupCommitStorage(old_url)
    for name in ("old", "two"):
        theirs = optuna.load_study(storage=stock, study_name=name)
        ours = optuna.load_study(storage=storage, study_name=name)
        assert [comparable(trial) for trial in ours.trials] == [comparable(trial) for trial in theirs.trials]
        assert (ours.user_attrs, ours.directions) == (theirs.user_attrs, theirs.directions)
    storage.close()
    stock.remove_session()
    stock.engine.dispose()


def test_after_the_upgrade_every_trial_is_what_it_was(old_url: str) -> None:
    upgrade(old_url)
    storage = GroupCommitStorage(old_url)
    old = optuna.load_study(storage=storage, study_name="old")
    assert [trial.state for trial in old.trials] == [
        TrialState.COMPLETE,
        TrialState.PRUNED,
        TrialState.FAIL,
        TrialState.RUNNING,
        TrialState.WAITING,
    ]
    first = old.trials[0]
    assert first.distributions == {
        "rate": FloatDistribution(1e-5, 0.1, log=True),
        "drop": FloatDistribution(0.0, 0.5),
        "step": FloatDistribution(0.0, 1.0, step=0.25),
        "units": IntDistribution(1, 64, log=True),
        "layers": IntDistribution(1, 9, step=2),
        "kind": CategoricalDistribution(("a", None, 3, True, 0.5)),
    }
    assert {name: first.params[name] for name in ("step", "units", "layers", "kind")} == {
        "step": 0.75,
        "units": 7,
        "layers": 5,
        "kind": True,
    }
    assert (first.value, first.intermediate_values, first.user_attrs) == (
        0.25,
        {0: 0.5, 1: math.inf},
        {"index": [0, None]},
    )
    assert old.trials[3].intermediate_values == {3: 0.125}
    assert old.ask().number == 4, "the waiting one is next"
    assert optuna.load_study(storage=storage, study_name="two").trials[0].values == [0.1, 0.2]
    storage.close()
