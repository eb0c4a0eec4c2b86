"""Replicas outside the range of the stack's own autoscaler, which are drift.

Replicas within the range are set by the autoscaler. It corrects any other number within seconds,
except 0: with 0 replicas it is switched off.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta

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
            # The recorded one if somebody has deleted it.
            autoscaler = item.live.outputs if item.live else item.recorded.outputs
            target = live.get(find_scale_target(autoscaler) or ("", ""))
            if target is None:
                continue
            spec = autoscaler["spec"]
            found += _check(
                target,
                (spec.get("minReplicas", 1), spec["maxReplicas"]),
                f"HorizontalPodAutoscaler {item.recorded.id}",
                at_zero="; at 0 the autoscaler is switched off" if item.live else "",
                written=[str(entry.get("time", "")) for entry in entries(autoscaler)],
                is_deleted=item.live is None,
            )
        elif allowed := desired.find_external_range(item.recorded):
            found += _check(item, allowed, "autoscaling, which is external")
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


def _check(
    target: ComparedObject,
    allowed: tuple[int, int],
    autoscaler: str,
    *,
    at_zero: str = "",
    written: Sequence[str] = (),
    is_deleted: bool = False,
) -> Iterator[Finding]:
    """Yields a finding if the live replicas of an object are outside the `allowed` range.

    `written` are the times at which somebody wrote the autoscaler. `at_zero` is added to the note
    if there are 0 replicas.
    """
    replicas = _read_replicas(target)
    fewest, most = allowed
    if replicas is None or fewest <= replicas <= most:
        return
    assert target.live is not None
    entry = owner_of(target.live.outputs, _REPLICAS) or {}
    manager, time = str(entry.get("manager", "")), str(entry.get("time", ""))
    # The autoscaler may still be at work: somebody has just changed the replicas, or its own range.
    changed = parse_time(max([time, *written]))
    is_recent = changed is not None and datetime.now(UTC) - changed < _SETTLED
    if replicas and is_recent and not is_deleted:
        return
    yield Finding(
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
        note=f"outside {fewest} to {most} of {autoscaler}{'' if replicas else at_zero}",
    )


def _read_replicas(target: ComparedObject) -> int | None:
    return ((target.live.outputs.get("spec") or {}).get("replicas")) if target.live else None
