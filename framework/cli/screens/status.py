"""What runs now, a line for each track."""

from __future__ import annotations

from typing import Any

from framework.cli.screens.text import render_image, render_table
from framework.plan import StackPlan, TrackPlan

_MISSING = "not deployed"


def describe_track(model: str, track: TrackPlan, live: dict[str, Any] | None) -> dict[str, Any]:
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
    status = live.get("status", {})
    containers = live["spec"]["template"]["spec"]["containers"]
    return described | {
        "running": containers[0]["image"],
        "replicas": live["spec"].get("replicas", 1),
        "updated": status.get("updatedReplicas", 0),
        "ready": status.get("readyReplicas", 0),
        "available": status.get("availableReplicas", 0),
    }


def render_status(tracks: list[dict[str, Any]], plan: StackPlan) -> str:
    """A table of every track, and what to do where the plan is ahead."""
    rows = [["deployment", "image", "updated", "ready", "available", ""]]
    rows += [_render_row(track) for track in tracks]
    behind = [track for track in tracks if track["running"] != track["planned"]]
    simulated = "  (simulated nodes: no container runs)" if plan.cluster.local else ""
    text = f"{plan.stack}  {plan.namespace.name} on {plan.cluster.context}{simulated}\n\n"
    text += render_table(rows)
    if behind:
        text += f"\n\n{len(behind)} behind the catalog.   next: make up ENV={plan.stack}"
    return text


def _render_row(track: dict[str, Any]) -> list[str]:
    if track["running"] is None:
        return [track["deployment"], _MISSING, "", "", "", ""]
    wanted = track["replicas"]
    counts = [f"{track[count]}/{wanted}" for count in ("updated", "ready", "available")]
    ahead = track["running"] != track["planned"]
    note = f"catalog: {render_image(track['planned'])}" if ahead else ""
    return [track["deployment"], render_image(track["running"]), *counts, note]
