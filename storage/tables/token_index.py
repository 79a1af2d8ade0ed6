"""All tokens in memory, by name and by the digest of their secret, and in the database."""

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, select

from storage.batch import Batch
from storage.records import TokenRecord
from storage.tables.columns import row_of
from storage.tables.schema import tokens


class TokenIndex:
    """Tokens, revoked and expired ones included. Writes are answered when they are committed."""

    def __init__(self, connection: Connection, transaction: Callable[[], AbstractContextManager[Batch]]) -> None:
        self._transaction = transaction
        self._lock = threading.Lock()
        rows = connection.execute(select(tokens).order_by(tokens.c.created_at, tokens.c.name))
        self._by_name = {row.name: TokenRecord(**row._mapping) for row in rows}
        self._by_digest = {record.digest: record for record in self._by_name.values()}

    def __len__(self) -> int:
        return len(self._by_name)

    def every(self) -> list[TokenRecord]:
        """All tokens, oldest first."""
        with self._lock:
            return list(self._by_name.values())

    def get(self, name: str) -> TokenRecord | None:
        """One token by its name."""
        return self._by_name.get(name)

    def by_digest(self, digest: str) -> TokenRecord | None:
        """One token by the SHA-256 of its secret, in hexadecimal."""
        return self._by_digest.get(digest)

    def put(self, record: TokenRecord) -> None:
        """Keep a token; it takes the place of an earlier one of its name."""
        with self._transaction() as batch:
            with self._lock:
                self._remember(record)
            batch.put("narrows_tokens", record.name, row_of(tokens, record))

    def change(self, name: str, **values: Any) -> TokenRecord:
        """Change columns of a token, and answer the changed record. Raises KeyError."""
        with self._transaction() as batch:
            with self._lock:
                record = replace(self._by_name[name], **values)
                self._remember(record)
            batch.put("narrows_tokens", name, row_of(tokens, record))
        return record

    def _remember(self, record: TokenRecord) -> None:
        earlier = self._by_name.get(record.name)
        if earlier is not None and earlier.digest != record.digest:
            del self._by_digest[earlier.digest], self._by_name[record.name]
        self._by_name[record.name] = self._by_digest[record.digest] = record
