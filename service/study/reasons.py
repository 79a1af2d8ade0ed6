"""Reasons of failures, short enough for a sentence about a study."""

OUTPUT_FOLLOWS = "; the end of its output:"
"""Workers end the first line of a reason with this when the code's last lines of output follow."""
MAX_LENGTH = 500


def first_line(reason: str | None) -> str:
    """The first line of a reason, without what the failed code has written."""
    lines = [line.strip() for line in (reason or "").splitlines() if line.strip()]
    return lines[0].removesuffix(OUTPUT_FOLLOWS)[:MAX_LENGTH] if lines else "no reason is known"
