"""What programs read: stable keys, for `--json`.

Kept apart from the screens: a key, once named, stays, while what people read may be worded anew.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from framework.cli.session import Session
from framework.core.changes import Change, Op, Preview
from framework.core.stack import Stack
from framework.output.changes import is_shown
from framework.plan import StackPlan, TrackPlan


def describe_preview(preview: Preview, session: Session) -> dict[str, Any]:
    """What `up` would change, with every rollout's forecast."""
    return {
        "stack": session.plan.stack.name,
        "engine": session.engine.name,
        "clean": preview.clean,
        "changes": [_describe_change(change) for change in preview.changes if is_shown(change)],
        "forecasts": _describe_forecasts(session.plan),
        "outputs": dict(preview.outputs),
        "messages": list(preview.messages),
    }


def describe_drift(drift: Preview, stack: Stack) -> dict[str, Any]:
    """What differs between the cluster and the recorded state."""
    found = [c for c in drift.changes if is_shown(c) and c.op is not Op.SAME]
    return {
        "stack": stack.name,
        "clean": not found,
        "changes": [_describe_change(change) for change in found],
        "messages": list(drift.messages),
    }


def _describe_change(change: Change) -> dict[str, Any]:
    return {
        "op": change.op.value,
        "urn": change.urn,
        "kind": change.kind,
        "object": change.object,
        "model": change.component or None,
        "fields": [
            {key: value for key, value in vars(field).items() if value != ""}
            for field in change.fields
        ],
        "note": change.note,
    }


def _describe_forecasts(plan: StackPlan) -> dict[str, Any]:
    return {
        track.deployment: {
            "replicas": track.budget.replicas,
            "surge": track.budget.surge,
            "unavailable": track.budget.unavailable,
            "waves": track.budget.waves,
            "peak": track.budget.peak,
            "minimumAvailable": track.budget.minimum_available,
            "worstCaseSeconds": track.seconds,
        }
        for model in plan.models
        for track in model.tracks
    }


def describe_track(model: str, track: TrackPlan, live: Mapping[str, Any] | None) -> dict[str, Any]:
    """One track as it runs; `live` is its Deployment, None where there is none."""
    described: dict[str, Any] = {
        "model": model,
        "track": track.track,
        "deployment": track.deployment,
        "planned": track.image,
        "running": None,
    }
    if live is None:
        return described
    return described | _describe_running(live)


def describe_unplanned(
    deployment: str, model: str, track: str, live: Mapping[str, Any] | None
) -> dict[str, Any]:
    """One track whose files have faults, as it runs; `live` as for `describe_track`."""
    described: dict[str, Any] = {
        "model": model,
        "track": track,
        "deployment": deployment,
        "planned": None,
        "running": None,
    }
    return described if live is None else described | _describe_running(live)


def _describe_running(live: Mapping[str, Any]) -> dict[str, Any]:
    status = live.get("status", {})
    containers = live["spec"]["template"]["spec"]["containers"]
    return {
        "running": containers[0]["image"],
        "replicas": live["spec"].get("replicas", 1),
        "updated": status.get("updatedReplicas", 0),
        "ready": status.get("readyReplicas", 0),
        "available": status.get("availableReplicas", 0),
    }
