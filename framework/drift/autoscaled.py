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
from framework.engines.live_objects import ComparedObject
from framework.kube.managed_fields import entries, owner_of

_REPLICAS = FieldPath.parse("spec.replicas")
# An autoscaler looks at its target every 15 seconds.
_SETTLED = timedelta(seconds=60)


def find_out_of_range(compared: Iterable[ComparedObject], desired: DesiredObjects) -> list[Finding]:
    """Returns a finding for each live object that its own autoscaler does not keep in range."""
    compared = list(compared)
    live = {(item.recorded.kind, item.recorded.id): item for item in compared}
    return [
        finding
        for item in compared
        if item.recorded.kind == "HorizontalPodAutoscaler"
        for finding in _check(
            item, live.get(find_scale_target(_read_autoscaler(item)) or ("", "")), desired
        )
    ]


def _read_autoscaler(item: ComparedObject) -> Mapping[str, Any]:
    """Returns the live autoscaler; the recorded one if somebody has deleted it."""
    return item.recorded.outputs if item.live is None else item.live.outputs


def _check(
    autoscaler: ComparedObject, target: ComparedObject | None, desired: DesiredObjects
) -> Iterator[Finding]:
    if target is None or target.live is None:
        return
    spec = _read_autoscaler(autoscaler)["spec"]
    fewest, most = spec.get("minReplicas", 1), spec["maxReplicas"]
    replicas = (target.live.outputs.get("spec") or {}).get("replicas")
    if replicas is None or fewest <= replicas <= most:
        return
    entry = owner_of(target.live.outputs, _REPLICAS)
    # The autoscaler may still be at work: somebody has just changed the replicas, or its own range.
    changed = str(entry.get("time", "")) if entry else ""
    written = [str(e.get("time", "")) for e in entries(_read_autoscaler(autoscaler))]
    is_live = autoscaler.live is not None
    if replicas and is_live and _is_recent(max([changed, *written])):
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
        manager=str(entry["manager"]) if entry else "",
        time=changed,
        note=f"outside {fewest} to {most} of HorizontalPodAutoscaler {autoscaler.recorded.id}"
        + ("; at 0 the autoscaler is switched off" if is_live and replicas == 0 else ""),
    )


def _is_recent(time: str) -> bool:
    parsed = parse_time(time)
    return parsed is not None and datetime.now(UTC) - parsed < _SETTLED
