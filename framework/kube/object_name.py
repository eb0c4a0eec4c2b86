"""How an object is called: `namespace/name`, or `name` alone.

Kept apart, and free of any import of ours, because every message, change list and recorded id must
say it in the same way.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def object_name(metadata: Mapping[str, Any]) -> str:
    """`namespace/name` of an object's metadata, `name` where it has no Namespace, "" for none."""
    name, namespace = metadata.get("name") or "", metadata.get("namespace")
    return f"{namespace}/{name}" if namespace else str(name)
