"""Paths of the API."""

from urllib.parse import quote


def quoted(name: str) -> str:
    """A name as one part of a path, with every other character escaped."""
    return quote(name, safe="")


def study_path(name: str) -> str:
    """The path of a study."""
    return f"/v1/studies/{quoted(name)}"


def lease_path(lease_id: str) -> str:
    """The path of a lease."""
    return f"/v1/leases/{quoted(lease_id)}"
