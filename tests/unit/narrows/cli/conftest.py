from collections.abc import Iterator

import pytest

from tests.unit.narrows.cli.stand_in import StandIn, stand_in


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    with stand_in() as running:
        monkeypatch.setenv("NARROWS_SERVER", running.url)
        yield running
