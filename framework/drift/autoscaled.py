"""Replicas outside the range of the stack's own autoscaler, which are drift.

Replicas within the range are set by the autoscaler. It corrects any other number within seconds,
except 0: with 0 replicas it is switched off.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from framework.core.field_paths import FieldPath
from framework.drift.fields import DesiredObjects
from framework.drift.foreign import find_scale_target
from framework.drift.grouping import parse_time
from framework.drift.report import Finding, FindingKind
from framework.engines.base import RecordedObject
from framework.engines.live_objects import ComparedObject
from framework.kube.managed_fields import entries, owner_of

_REPLICAS = FieldPath.parse("spec.replicas")
# An autoscaler looks at its target every 15 seconds.
_SETTLED = timedelta(seconds=60)


def find_out_of_range(compared: Iterable[ComparedObject], desired: DesiredObjects) -> list[Finding]:
    """Returns a finding for each live object that its own autoscaler does not keep in range."""
    compared = list(compared)
    live = {(item.recorded.kind, item.recorded.id): item for item in compared}
    found: list[Finding] = []
    for item in compared:
        if item.recorded.kind == "HorizontalPodAutoscaler":
            target = live.get(find_scale_target(_read_autoscaler(item)) or ("", ""))
            found += _check(item, target)
        elif allowed := desired.find_external_range(item.recorded):
            found += _check_external(item, allowed)
    return found


def find_unknown_ranges(
    compared: Iterable[ComparedObject],
    desired: DesiredObjects,
    recorded: Iterable[RecordedObject],
) -> list[RecordedObject]:
    """Returns the Deployments whose replicas cannot be checked, because their files have errors.

    Something outside of the stack scales them (`autoscaling.external`), and only the files have the
    range. The other Deployments with `autoscaling` have a recorded autoscaler.
    """
    autoscalers = [obj for obj in recorded if obj.kind == "HorizontalPodAutoscaler"]
    scaled = {find_scale_target(obj.inputs) for obj in autoscalers}
    return [
        obj
        for item in compared
        if str(_REPLICAS) in (obj := item.recorded).ignore_changes
        and not desired.is_known(obj.component)
        and (obj.kind, obj.id) not in scaled
        and _read_replicas(item) is not None
    ]


def _check_external(target: ComparedObject, allowed: tuple[int, int]) -> Iterator[Finding]:
    """Yields a finding for a Deployment with `autoscaling.external` out of its own range."""
    replicas = _read_replicas(target)
    if replicas is None or allowed[0] <= replicas <= allowed[1]:
        return
    _, changed = _find_writer(target)
    # A ScaledObject may still be at work. One that is not corrects nothing.
    if replicas and _is_recent(changed):
        return
    fewest, most = allowed
    note = f"outside {fewest} to {most} of autoscaling, which is external"
    yield _build_finding(target, fewest, replicas, note)


def _read_autoscaler(item: ComparedObject) -> Mapping[str, Any]:
    """Returns the live autoscaler; the recorded one if somebody has deleted it."""
    return item.recorded.outputs if item.live is None else item.live.outputs


def _check(autoscaler: ComparedObject, target: ComparedObject | None) -> Iterator[Finding]:
    if target is None:
        return
    spec = _read_autoscaler(autoscaler)["spec"]
    fewest, most = spec.get("minReplicas", 1), spec["maxReplicas"]
    replicas = _read_replicas(target)
    if replicas is None or fewest <= replicas <= most:
        return
    # The autoscaler may still be at work: somebody has just changed the replicas, or its own range.
    _, changed = _find_writer(target)
    written = [str(e.get("time", "")) for e in entries(_read_autoscaler(autoscaler))]
    is_live = autoscaler.live is not None
    if replicas and is_live and _is_recent(max([changed, *written])):
        return
    note = f"outside {fewest} to {most} of HorizontalPodAutoscaler {autoscaler.recorded.id}"
    note += "; at 0 the autoscaler is switched off" if is_live and replicas == 0 else ""
    yield _build_finding(target, fewest, replicas, note)


def _read_replicas(target: ComparedObject) -> int | None:
    return ((target.live.outputs.get("spec") or {}).get("replicas")) if target.live else None


def _find_writer(target: ComparedObject) -> tuple[str, str]:
    """Returns the manager that wrote the replicas, and the time."""
    entry = owner_of(target.live.outputs, _REPLICAS) if target.live else None
    return (str(entry["manager"]), str(entry.get("time", ""))) if entry else ("", "")


def _build_finding(target: ComparedObject, fewest: int, replicas: int, note: str) -> Finding:
    manager, time = _find_writer(target)
    return Finding(
        kind=FindingKind.CHANGED,
        type=target.recorded.type,
        object=target.recorded.id,
        urn=target.recorded.urn,
        model=target.recorded.component,
        path=str(_REPLICAS),
        desired=fewest,
        recorded=fewest,
        live=replicas,
        manager=manager,
        time=time,
        note=note,
    )


def _is_recent(time: str) -> bool:
    parsed = parse_time(time)
    return parsed is not None and datetime.now(UTC) - parsed < _SETTLED
