"""What a written text refers to: the keys of its interpolations, as paths.

Kept apart from resolving, which OmegaConf does: a report only follows what has been resolved.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from framework.overlay.interpolation import references
from framework.sources import KeyPath

_SELECT = re.compile(r"\$\{\s*oc\.select\s*:\s*['\"]?([^,}'\"]+)")
_ESCAPED = re.compile(r"\\\$\{")


def find_texts(value: Any) -> Iterator[str]:
    """The texts with an interpolation in a written value, in its lists too."""
    if isinstance(value, str):
        if "${" in _ESCAPED.sub("", value):
            yield value
    elif isinstance(value, dict | list):
        for child in value.values() if isinstance(value, dict) else value:
            yield from find_texts(child)


def find_names(text: str, path: KeyPath) -> Iterator[tuple[str, ...]]:
    """The keys that a text standing at `path` refers to; leading dots count from there."""
    for name in (*references(text), *(found.strip() for found in _SELECT.findall(text))):
        dots = len(name) - len(name.lstrip("."))
        start = tuple(map(str, path[: len(path) - dots])) if dots else ()
        yield (*start, *name[dots:].split("."))
