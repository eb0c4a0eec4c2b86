"""Values without what may be secret, going by their keys.

Kept apart because every report of settings must hide the same.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from framework.sources import may_be_secret

SECRET = "[secret]"


def mask(path: Iterable[str | int], value: Any) -> Any:
    """The value at `path` with "[secret]" for every text or number whose keys say so."""
    here = tuple(path)
    if isinstance(value, dict):
        return {key: mask((*here, key), child) for key, child in value.items()}
    if isinstance(value, list):
        return [mask((*here, index), child) for index, child in enumerate(value)]
    return SECRET if may_be_secret(here) and can_be_secret(value) else value


def can_be_secret(value: Any) -> bool:
    """False for true, false and what is empty: nothing to hide."""
    return not isinstance(value, bool) and bool(value)
