"""Readers for rendered objects: after a patch, a field may have a value of any shape."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def mapping_in(data: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """Returns the mapping at `key`; an empty one where a patch left something else there."""
    value = data.get(key)
    return value if isinstance(value, Mapping) else {}


def mappings_in(data: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    """Returns the items of the list at `key` that are mappings."""
    items = data.get(key)
    return [item for item in items if isinstance(item, Mapping)] if isinstance(items, list) else []


def texts_in(data: Mapping[str, Any], key: str) -> list[str]:
    """Returns the items of the list at `key` as text."""
    items = data.get(key)
    return [str(item) for item in items] if isinstance(items, list) else []
