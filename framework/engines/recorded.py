"""What a checkpoint says of its stack at first sight, for either engine.

Kept apart from the state, which the CLI engine knows only as the JSON it exports.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from framework.engines.base import Recorded
from framework.engines.urns import PROVIDER_TYPE, STACK_TYPE, parse_urn


def read_recorded(resources: Iterable[Mapping[str, Any]]) -> Recorded:
    """Of the resources of a version-3 checkpoint, as plain JSON."""
    components, objects = set(), 0
    providers: dict[str, Mapping[str, Any]] = {}
    for resource in resources:
        kind, custom = resource["type"], bool(resource.get("custom"))
        if kind == PROVIDER_TYPE:
            providers[resource["urn"]] = resource.get("inputs") or {}
        elif custom:
            objects += 1
        elif kind != STACK_TYPE:
            components.add(parse_urn(resource["urn"]).name)
    return Recorded(frozenset(components), objects, providers)
