"""The list of workers, page by page."""

import base64
import json

import pytest

from tests.integration.service_driver import Service, errors_of

IDS = [f"lab-{number}/cpu" for number in range(5)]


@pytest.fixture
def worked(sqlite_service: Service) -> Service:
    """A service to which workers have come in the order of their ids, a second after one another."""
    name = sqlite_service.create(n_trials=len(IDS))
    for worker in IDS:
        sqlite_service.claim(name, worker=worker)
        sqlite_service.clock.advance(1.0)
    return sqlite_service


def ids(service: Service, **query: object) -> tuple[list[str], str | None]:
    page = service.get("/workers", **query)
    return [worker["id"] for worker in page["workers"]], page["next_cursor"]


def test_without_a_limit_all_workers_are_on_one_page_the_last_seen_first(worked: Service) -> None:
    assert ids(worked) == (IDS[::-1], None)


def test_workers_that_call_meanwhile_are_on_one_page_each(worked: Service) -> None:
    """The first two workers are seen again between the pages: no worker moves to another page by it."""
    first, cursor = ids(worked, limit=2)
    worked.claim(worker=IDS[3])
    worked.claim(worker=IDS[0])
    second, cursor = ids(worked, limit=2, cursor=cursor)
    third, end = ids(worked, limit=2, cursor=cursor)

    assert (first, second, third, end) == ([IDS[1], IDS[0]], [IDS[3], IDS[2]], [IDS[4]], None)


def test_the_client_reads_all_pages(worked: Service) -> None:
    with worked.client() as client:
        assert [worker.id for worker in client.workers_page(limit=2).workers] == [IDS[1], IDS[0]]
        assert [worker.id for worker in client.workers().workers] == IDS[::-1]


@pytest.mark.parametrize("key", [7, None, [1.0, 2], {}])
def test_a_cursor_of_another_list_is_refused(worked: Service, key: object) -> None:
    cursor = base64.urlsafe_b64encode(json.dumps(key).encode()).decode()

    assert list(errors_of(worked.http.get("/v1/workers", params={"cursor": cursor}))) == ["cursor"]
