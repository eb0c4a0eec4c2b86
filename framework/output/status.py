"""What runs now, a line for each track."""

from __future__ import annotations

from typing import Any

from framework.output.text import render_image, render_table
from framework.plan import StackPlan

_MISSING = "not deployed"


def render_status(tracks: list[dict[str, Any]], plan: StackPlan) -> str:
    """A table of every track, and what to do where the plan is ahead."""
    rows = [["deployment", "image", "updated", "ready", "available", ""]]
    rows += [_render_row(track) for track in tracks]
    behind = [track for track in tracks if _is_behind(track)]
    simulated = "  (simulated nodes: no container runs)" if plan.cluster.local else ""
    text = f"{plan.stack}  {plan.namespace.name} on {plan.cluster.context}{simulated}\n\n"
    text += render_table(rows)
    if behind:
        text += (
            f"\n\n{len(behind)} behind the catalog.   next: make up ENV={plan.stack.environment}"
        )
    return text


def _is_behind(track: dict[str, Any]) -> bool:
    return track["planned"] is not None and track["running"] != track["planned"]


def _render_row(track: dict[str, Any]) -> list[str]:
    if track["running"] is None:
        return [track["deployment"], _MISSING, "", "", "", ""]
    wanted = track["replicas"]
    counts = [f"{track[count]}/{wanted}" for count in ("updated", "ready", "available")]
    note = f"catalog: {render_image(track['planned'])}" if _is_behind(track) else ""
    note = "not in the plan" if track["planned"] is None else note
    return [track["deployment"], render_image(track["running"]), *counts, note]
