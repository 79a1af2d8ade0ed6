"""Lists that the service sends in pages."""

from collections.abc import Callable, Iterator
from typing import Protocol, TypeVar


class Page(Protocol):
    """One page of a list."""

    @property
    def next_cursor(self) -> str | None:
        """The cursor of the next page; None on the last one."""


OnePage = TypeVar("OnePage", bound=Page)


def every_page(read: Callable[[str | None], OnePage]) -> Iterator[OnePage]:
    """All pages of a list, each read when it is needed. `read` gets the cursor of a page, None for the first one."""
    page = read(None)
    yield page
    while page.next_cursor is not None:
        page = read(page.next_cursor)
        yield page
