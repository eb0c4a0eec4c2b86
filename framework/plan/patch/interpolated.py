"""Turns numbers from interpolations into text, in the fields of a patch that take text.

The annotation `"${ports.http}"` resolves to the number 8080, but Kubernetes accepts text only. The
author cannot ask for text: the quotes belong to the YAML of the interpolation, not to its result.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from framework.core.diagnostics import KeyPath
from framework.layers import Merged
from framework.plan.patch.field_types import FieldType


def write_numbers_as_text(
    content: Mapping[str, Any], kind: str, at: KeyPath, merged: Merged
) -> Mapping[str, Any]:
    """Returns a patch with these numbers as text. `at` is its path in the settings."""
    for path, text in merged.numbers.items():
        below = path[len(at) :]
        if path[: len(at)] == at and below and _takes_text(FieldType(kind), below):
            content = _replace(content, below, text)
    return content


def _takes_text(field_type: FieldType | None, path: KeyPath) -> bool:
    for key in path:
        if field_type is None:
            return False
        field_type = field_type.items if isinstance(key, int) else field_type.child(key)
    return field_type is not None and field_type.name == "string"


def _replace(value: Any, path: KeyPath, text: str) -> Any:
    """Returns a copy of nested mappings and lists with another value at `path`."""
    if not path:
        return text
    items = value.items() if isinstance(value, Mapping) else enumerate(value)
    replaced = {
        key: _replace(child, path[1:], text) if key == path[0] else child for key, child in items
    }
    return replaced if isinstance(value, Mapping) else list(replaced.values())
