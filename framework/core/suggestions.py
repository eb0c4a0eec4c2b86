"""Lists of names in messages."""

from __future__ import annotations

from collections.abc import Sequence

# Eight names are read at a glance; a catalog may have a thousand.
MOST_LISTED = 8


def list_names(names: Sequence[str]) -> str:
    """Returns the first eight names and the number of the others: `a, b, c and 5 more`."""
    more = len(names) - MOST_LISTED
    return ", ".join(names[:MOST_LISTED]) + (f" and {more} more" if more > 0 else "")
