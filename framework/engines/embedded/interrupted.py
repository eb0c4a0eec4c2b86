"""Settles the creates that an interrupted command left pending.

A command that is killed between the API server's answer and the journal's next line leaves an
object that no state knows: neither `up` nor `destroy` would ever delete it. The pending operation
says what was asked for, so each one is looked up: an object of ours is recorded, an absent one
forgotten.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from framework.engines.embedded.checkpoint import Checkpoint, Resource
from framework.engines.embedded.clusters import Clusters
from framework.engines.embedded.journal import Line
from framework.engines.embedded.planner import UNFINISHED
from framework.engines.embedded.records import build_found
from framework.engines.embedded.state import StackState, end_line, set_line
from framework.engines.embedded.values import reveal
from framework.kube.ownership import AlreadyExistsError


@dataclass(frozen=True)
class Settlement:
    """What settling the pending operations records, and what people should know about each."""

    lines: tuple[Line, ...] = ()
    warnings: tuple[str, ...] = ()


def settle_pending(state: StackState, clusters: Clusters) -> Settlement:
    """Looks up every pending create; writes nothing. ClusterError, EngineError.

    `clusters` are reached as the recorded providers say, since those made the objects.
    """
    recorded = state.current()
    lines: list[Line] = []
    warnings: list[str] = []
    for operation in recorded.pending:
        entry = Resource(operation["resource"])
        if operation["type"] != "creating" or not entry.is_object:
            # An update, a deletion or a read is of something that state has; else it is settled.
            if entry.urn not in recorded.live:
                lines.append(end_line(entry.urn))
            continue
        if any(urn not in recorded.live for urn in (entry.parent, entry.provider_urn) if urn):
            warnings.append(_describe(entry, "cannot be looked up, because its parent is missing"))
            continue
        try:
            found = list(_record_found(state, recorded, entry, clusters))
        except AlreadyExistsError as exc:
            if not exc.pulumi:
                lines.append(end_line(entry.urn))
                continue
            warnings.append(_describe(entry, f"may be the one that is there now: {exc}"))
            continue
        if found:
            warnings.append(_describe(entry, "was created and not recorded; `up` records it"))
        lines += [*found, end_line(entry.urn)]
    return Settlement(tuple(lines), tuple(warnings))


def _record_found(
    state: StackState, recorded: Checkpoint, entry: Resource, clusters: Clusters
) -> Iterator[Line]:
    provider = clusters.connection(entry.provider_urn).provider
    found = provider.find_own(entry.urn, reveal(state.inputs(entry)))
    if found is None:
        return
    old = recorded.live.get(entry.urn)
    if old is not None and _uid(state.outputs(old)) == _uid(found.outputs):
        # Killed before the old object was deleted: that one is recorded already.
        return
    if old is not None and old.id != found.id:
        # A replacement that makes the new object first: the old one is still there.
        yield set_line(old.with_fields(delete=True))
    errors = [UNFINISHED] if entry.kind == "Deployment" else []
    yield set_line(build_found(state, entry, found, errors))


def _uid(outputs: Mapping[str, Any]) -> str:
    return str((outputs.get("metadata") or {}).get("uid", ""))


def _describe(entry: Resource, what: str) -> str:
    return f"an earlier command was interrupted: {entry.kind} {entry.name} {what}"
