"""The marks that Pulumi puts into plain JSON for values that are secret or not known yet.

Kept apart from the embedded engine's values and ciphers, so that what reads the real CLI's events
needs neither.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from framework.core.redaction import REDACTED

SIGNATURE = "4dabf18193072939515e22adb298388d"
SECRET = "1b47061264138c4ac30d75fd1eb44270"
UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"


def has_sealed(tree: Any) -> bool:
    """True when a tree from state holds an encrypted value."""
    if isinstance(tree, dict):
        return tree.get(SIGNATURE) == SECRET or any(map(has_sealed, tree.values()))
    return isinstance(tree, list) and any(map(has_sealed, tree))


def mask_sealed(tree: Any) -> Any:
    """A tree from state with every encrypted value as REDACTED; needs no passphrase."""
    if isinstance(tree, Mapping):
        if tree.get(SIGNATURE) == SECRET:
            return REDACTED
        return {key: mask_sealed(value) for key, value in tree.items()}
    return [mask_sealed(value) for value in tree] if isinstance(tree, list) else tree
