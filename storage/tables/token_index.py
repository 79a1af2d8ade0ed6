"""All tokens, in memory and in the database."""

import threading
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, select

from storage.batch import Transaction
from storage.records import TokenRecord
from storage.tables.record_rows import put_record
from storage.tables.schema import tokens


class TokenIndex:
    """Tokens by name and by digest, with those revoked or expired. Writes return after their commit."""

    def __init__(self, connection: Connection, transaction: Transaction) -> None:
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
        """The token with this name; None if there is none."""
        return self._by_name.get(name)

    def by_digest(self, digest: str) -> TokenRecord | None:
        """The token whose secret has this SHA-256, in hexadecimal; None if there is none."""
        return self._by_digest.get(digest)

    def put(self, record: TokenRecord) -> None:
        """Save a token. It replaces the token with its name."""
        with self._transaction() as batch:
            put_record(batch, tokens, record)
            with self._lock:
                self._remember(record)

    def change(self, name: str, **values: Any) -> TokenRecord:
        """Change columns of a token and return the changed record. Raises KeyError."""
        with self._transaction() as batch, self._lock:
            record = replace(self._by_name[name], **values)
            put_record(batch, tokens, record)
            self._remember(record)
        return record

    def _remember(self, record: TokenRecord) -> None:
        earlier = self._by_name.get(record.name)
        if earlier is not None and earlier.digest != record.digest:
            del self._by_digest[earlier.digest], self._by_name[record.name]
        self._by_name[record.name] = self._by_digest[record.digest] = record
