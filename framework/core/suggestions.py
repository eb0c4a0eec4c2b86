"""Names in messages: lists of known names, and the names nearest to a misspelt one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches

# Eight names are read at a glance; a catalog may have a thousand.
MAX_LISTED = 8


def list_names(names: Sequence[str], most: int = MAX_LISTED) -> str:
    """Returns the first names and the number of the others: `a, b, c and 5 more`."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")


def near_misses(
    name: str, known: Iterable[str], *, most: int = 1, cutoff: float = 0.6
) -> list[str]:
    """Returns the known names that `name` may be a misspelling of, the nearest first.

    `name` itself is never among them, since it was written. Upper and lower case count as equal.
    `cutoff` is difflib's: 1.0 accepts only equal names.
    """
    folded: dict[str, str] = {}
    for candidate in sorted(set(known) - {name}):
        folded.setdefault(candidate.lower(), candidate)
    matches = get_close_matches(name.lower(), folded, n=most, cutoff=cutoff)
    return [folded[match] for match in matches]


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Returns `did you mean "replicas"?`, or "" if no known name is similar."""
    near = near_misses(name, known)
    return f'did you mean "{near[0]}"?' if near else ""


def suggest(name: str, known: Iterable[str]) -> str:
    """Returns the end of a message about an unknown name: the nearest known name, else the list.

    It begins with a semicolon: `; did you mean "replicas"?`, `; known: a, b and 5 more`.
    Returns "" if no names are known.
    """
    names = sorted(known)
    if hint := did_you_mean(name, names):
        return f"; {hint}"
    return f"; known: {list_names(names)}" if names else ""
