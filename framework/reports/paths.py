"""Fields of a manifest by path: `spec.template.spec.containers[model].image`.

Kept apart from comparing live objects, which drops what the server keeps for itself: a manifest
is ours whole.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from framework.core.redaction import is_secret_key

# What tells the items of a list apart; by place where none of them does.
_ITEM_KEYS = ("name", "mountPath", "topologyKey", "ip")
_STEP = re.compile(r"[.\[\]]+")


def flatten(manifest: Mapping[str, Any], below: str, *, parents: bool = False) -> dict[str, Any]:
    """Every single value at or below a path, in the manifest's order; with `parents` all above."""
    return {
        path: value
        for path, value in _walk(manifest, "")
        if is_below(path, below) and (parents or not isinstance(value, dict | list) or not value)
    }


def is_secret_field(path: str) -> bool:
    """True where the value at a path may be a secret; the item's name in a list says so too."""
    parts = _STEP.split(path)
    return parts[-1] != "name" and is_secret_key(parts)


def is_below(path: str, parent: str) -> bool:
    """True where a path is `parent` or lies in it; everything lies in ""."""
    return not parent or path == parent or path.startswith((f"{parent}.", f"{parent}["))


def _walk(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    if path:
        yield path, value
    if isinstance(value, Mapping):
        for key, child in value.items():
            yield from _walk(child, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        for name, item in zip(_name_items(value), value, strict=True):
            yield from _walk(item, f"{path}[{name}]")


def _name_items(items: list[Any]) -> list[str]:
    if all(isinstance(item, Mapping) for item in items):
        for key in _ITEM_KEYS:
            names = [str(item[key]) for item in items if key in item]
            if len(set(names)) == len(items):
                return names
    return [str(index) for index in range(len(items))]
