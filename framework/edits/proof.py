"""What an edit must lead to, and whether a text that was edited says exactly that.

Kept apart from editing so that no edit is its own judge: this compares what two texts mean, key by
key, and which comments they have.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

from framework.core.diagnostics import KeyPath
from framework.edits.layout import find_comments
from framework.files import Document


def expect_set(data: dict[str, Any], path: KeyPath, value: Any) -> dict[str, Any] | None:
    """`data` with `value` at `path`; None where no mapping or item leads there."""
    expected = deepcopy(data)
    parent: Any = expected
    try:
        for key in path[:-1]:
            if isinstance(parent, dict) and parent.get(str(key)) is None:
                parent[str(key)] = {}
            parent = parent[key]
        # A list has the item or fails; a text refuses.
        parent[path[-1]] = json.loads(json.dumps(value))
    except (LookupError, TypeError):
        return None
    return expected


def expect_removed(data: dict[str, Any], path: KeyPath) -> dict[str, Any]:
    """`data` without what stands at `path`; as it is where nothing does."""
    expected = deepcopy(data)
    parent: Any = expected
    try:
        for key in path[:-1]:
            parent = parent[key]
        del parent[path[-1]]
    except (LookupError, TypeError):
        return data
    return expected


def is_same(one: Any, other: Any) -> bool:
    """Equal, and of the same types: Python takes 1, 1.0 and true for equal."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


def is_as_meant(before: Document, after: Document, expected: Any, path: KeyPath) -> bool:
    """True where `after` says `expected`, and all but `path` in the order and spelling it had."""
    # What stands behind a removed item of a list moves up; `expected` has compared it.
    edited = path[:-1] if isinstance(path[-1], int) else path
    return is_same(after.data, expected) and _others(before, edited) == _others(after, edited)


def _others(document: Document, edited: KeyPath) -> list[tuple[KeyPath, str | None]]:
    return [
        (path, document.spellings.get(path))
        for path in _walk(document.data, ())
        if path[: len(edited)] != edited and path != edited[: len(path)]
    ]


def _walk(value: Any, path: KeyPath) -> Iterator[KeyPath]:
    items: Any = value.items() if isinstance(value, dict) else ()
    if isinstance(value, list):
        items = enumerate(value)
    for key, child in items:
        yield (*path, key)
        yield from _walk(child, (*path, key))


def keeps_comments(before: str, after: str, edited: str) -> bool:
    """True where only comments of the `edited` lines are gone."""
    lost = Counter(find_comments(before)) - Counter(find_comments(after))
    return all(comment in edited for comment in lost)
