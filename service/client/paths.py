"""Paths of the API."""

from urllib.parse import quote


def quoted(name: str) -> str:
    """One part of a path, whatever characters a user typed."""
    return quote(name, safe="")


def study_path(name: str) -> str:
    return f"/v1/studies/{quoted(name)}"


def lease_path(lease_id: str) -> str:
    return f"/v1/leases/{quoted(lease_id)}"
