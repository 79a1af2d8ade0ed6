from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from storage import Store, TokenRecord

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
LAB = TokenRecord("lab-gpu", "a" * 64, ["work"], NOW)
EVERYTHING = TokenRecord("root", "b" * 64, ["admin"], NOW + timedelta(seconds=1), NOW + timedelta(days=30))


def test_tokens_are_kept_with_all_they_have(database_url: str) -> None:
    store = Store.open(database_url)
    for record in (LAB, EVERYTHING):
        store.tokens.put(record)
    changed = store.tokens.change("lab-gpu", revoked_at=NOW + timedelta(hours=1), last_used_at=NOW)
    store.close()

    store = Store.open(database_url)
    assert changed == replace(LAB, revoked_at=NOW + timedelta(hours=1), last_used_at=NOW)
    assert store.tokens.every() == [changed, EVERYTHING]
    assert store.tokens.by_digest("b" * 64) == store.tokens.get("root") == EVERYTHING
    store.close()


def test_a_token_takes_the_place_of_the_one_of_its_name(database_url: str) -> None:
    store = Store.open(database_url)
    store.tokens.put(LAB)
    again = replace(LAB, digest="c" * 64)
    store.tokens.put(again)
    assert store.tokens.by_digest(LAB.digest) is None
    store.close()

    store = Store.open(database_url)
    assert store.tokens.every() == [again]
    store.close()


def test_a_token_that_is_not_there_cannot_be_changed(database_url: str) -> None:
    store = Store.open(database_url)
    with pytest.raises(KeyError):
        store.tokens.change("nobody", revoked_at=NOW)
    assert store.tokens.get("nobody") is None
    store.close()
