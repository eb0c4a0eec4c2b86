"""The order of the objects of one model, so that Pods are removed only after others serve.

A canary may take its Pods from the stable track: it grows while the stable track shrinks. If both
were applied at once, Pods would be removed before others serve. Both engines use this order. It
is not a dependency in the program: which track shrinks depends on what is live, and a dependency
would be recorded, so it would point the wrong way when the canary shrinks again.

An autoscaler that the model no longer has is deleted before its Deployment is written.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace

from framework.core.changes import Change, Op
from framework.engines.urns import parse_urn

Needs = Mapping[str, Collection[str]]

KEPT_UNFINISHED = "kept: its component did not finish"
"""The reason why nothing of a model is deleted whose Deployment failed."""


def find_deployment_waits(
    changes: Iterable[Change], needs: Needs | None = None
) -> dict[str, tuple[str, ...]]:
    """Maps each Deployment that shrinks to the Deployments that must be available first, by URN.

    A Deployment that shrinks waits for every other changed Deployment of its component, and keeps
    its Pods if one of them fails. Deletions come after all of this. A Deployment that depends on
    the shrinking one, in any number of steps, is not waited for: each would wait for the other.
    `needs` maps each URN to those that it depends on. For example, with `canary.mode: within` and
    10 replicas, of which the canary takes 2:

        ranker          10 -> 8 Pods     waits for ranker-canary
        ranker-canary    0 -> 2 Pods     waits for nothing
    """
    by_component: dict[str, list[Change]] = {}
    for change in changes:
        is_changed = change.op not in (Op.SAME, Op.DELETE)
        if change.kind == "Deployment" and change.component and is_changed:
            by_component.setdefault(change.component, []).append(change)
    waits: dict[str, tuple[str, ...]] = {}
    for deployments in by_component.values():
        # A new image with the same number of replicas counts as growing: its rollout may fail as
        # well.
        growing = [change.urn for change in deployments if not _shrinks(change)]
        for change in deployments:
            before = sorted(urn for urn in growing if not _needs(urn, change.urn, needs or {}))
            if _shrinks(change) and before:
                waits[change.urn] = tuple(before)
    return waits


def find_obsolete_autoscalers(changes: Iterable[Change]) -> tuple[Change, ...]:
    """Returns the deletions of autoscalers whose Deployments stay.

    Both engines delete these before they write the Deployments. If they were deleted at the end, as
    other objects are, each would first scale its Deployment back to its own minimum. An autoscaler
    of a former name stays until the end, since it scales the Pods that still serve.
    """
    staying, deletions = list[Change](), list[Change]()
    for change in changes:
        (deletions if change.op is Op.DELETE else staying).append(change)
    scaled = {(item.component, item.object) for item in staying if item.kind == "Deployment"}
    # The old object of a replacement has the URN of its successor, and may have its name as well.
    urns = {item.urn for item in staying}
    return tuple(
        change
        for change in deletions
        if change.kind == "HorizontalPodAutoscaler"
        and (change.component, change.object) in scaled
        and change.urn not in urns
    )


def note_waits(change: Change, waits: Mapping[str, Iterable[str]]) -> Change:
    """Returns a change with the note of what it waits for, if it does."""
    before = [parse_urn(urn).name for urn in waits.get(change.urn, ())]
    if not before:
        return change
    verb = "is" if len(before) == 1 else "are"
    note = f"once {' and '.join(before)} {verb} available"
    return replace(change, note="; ".join(filter(None, (change.note, note))))


def describe_kept_pods(failed: Change) -> str:
    """Returns why a Deployment that waits for a failed one keeps its Pods."""
    return f"it keeps its Pods because it waits for {failed.kind} {failed.name}, which failed"


def _shrinks(change: Change) -> bool:
    return change.op is Op.UPDATE and any(
        field.path == "spec.replicas"
        and isinstance(field.old, int)
        and isinstance(field.new, int)
        and field.new < field.old
        for field in change.fields
    )


def _needs(urn: str, other: str, needs: Needs) -> bool:
    """Returns True if a resource needs `other`, directly or through other resources."""
    unvisited, seen = list(needs.get(urn, ())), {urn}
    while unvisited:
        needed = unvisited.pop()
        if needed == other:
            return True
        if needed not in seen:
            unvisited.extend(needs.get(needed, ()))
        seen.add(needed)
    return False
