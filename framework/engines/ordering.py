"""The order of a change list: the same whichever engine ran, and however its threads did.

Kept apart because both engines promise the same list, and refresh, drift and apply each make one.
"""

from __future__ import annotations

from collections.abc import Iterable

from framework.core.changes import Change, Op
from framework.engines.urns import PROVIDER_TYPE, STACK_TYPE

# What everything stands on comes first.
_RANKS = {STACK_TYPE: 0, PROVIDER_TYPE: 1, "kubernetes:core/v1:Namespace": 2}
_ALONE, _IN_COMPONENT = 3, 4


def order_changes(changes: Iterable[Change]) -> tuple[Change, ...]:
    """The Stack, providers and Namespaces, then component by component; deletions last."""
    return tuple(sorted(changes, key=_position))


def _position(change: Change) -> tuple[bool, int, str, bool, str, str, str]:
    rank = _RANKS.get(change.type, _IN_COMPONENT if change.component else _ALONE)
    is_component = not change.object and rank == _IN_COMPONENT
    return (
        change.op is Op.DELETE,
        rank if change.op is not Op.DELETE else 0,
        change.component,
        not is_component,
        change.kind,
        change.name,
        change.urn,
    )
