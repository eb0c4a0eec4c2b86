"""Renders the models of the catalog (`list`) and the tracks that run (`status`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from framework.output.text import render_pending, render_table, render_wrapped, screen_width
from framework.output.values import render_apart, render_image
from framework.plan import StackPlan
from framework.plan.rendered import find_model_image
from framework.reports.listing import ListedModel, ListedTracks

_NONE = "-"


def render_listing(models: Sequence[ListedModel]) -> str:
    """Renders name, image, replicas in each environment, owner and profiles of each model.

    Owner and profiles are on a second line if one line would be too wide.
    """
    heads = ["model", "image", *(models[0].environments if models else ())]
    rows = [
        [model.name, _render_images(model), *map(_render_replicas, model.environments.values())]
        for model in models
    ]
    details = [
        [", ".join(model.owners) or _NONE, ", ".join(model.profiles) or _NONE] for model in models
    ]
    wide = render_table(
        [
            [*heads, "owner", "profiles"],
            *([*row, *detail] for row, detail in zip(rows, details, strict=True)),
        ]
    )
    if max(map(len, wide.splitlines())) <= screen_width():
        return wide
    head, *lines = render_table([heads, *rows]).splitlines()
    margin = " " * (2 + max(len(model.name) for model in models))
    for index, detail in enumerate(details):
        # Only a model that runs has an owner.
        text = ": ".join(detail) if models[index].owners else "enabled: false"
        lines[index] += "\n" + render_wrapped(text, first=margin, then=margin)
    return "\n".join([head, *lines])


def _render_images(model: ListedModel) -> str:
    """Returns the image; if environments run different ones, each with its environments."""
    environments: dict[str, list[str]] = {}
    for name, tracks in model.environments.items():
        if tracks:
            environments.setdefault(tracks.image, []).append(name)
    if len(environments) < 2:
        return "".join(map(render_image, environments)) or _NONE
    images = render_apart(list(environments), max_length=None, is_image=True)
    names = map(" ".join, environments.values())
    return ", ".join(f"{image} ({text})" for image, text in zip(images, names, strict=True))


def _render_replicas(tracks: ListedTracks | None) -> str:
    """Returns `3`, `2..12` with an autoscaler, `3+1` with a canary; "-" if it does not run."""
    if tracks is None:
        return _NONE
    most = f"..{tracks.max_replicas}" if tracks.max_replicas is not None else ""
    canary = f"+{tracks.canary}" if tracks.canary else ""
    return f"{tracks.replicas}{most}{canary}"


@dataclass(frozen=True)
class TrackStatus:
    """A track of a model. `planned` is null if it is not in the plan, `running` if nothing runs.

    `replicas`, `updated`, `ready` and `available` count Pods; they are null if nothing runs.
    """

    model: str
    track: str
    deployment: str
    planned: str | None
    running: str | None
    replicas: int | None = None
    updated: int | None = None
    ready: int | None = None
    available: int | None = None

    @classmethod
    def of(
        cls,
        model: str,
        track: str,
        deployment: str,
        planned: str | None,
        live: Mapping[str, Any] | None,
    ) -> TrackStatus:
        """Builds the status from a live Deployment; None if there is none."""
        if live is None:
            return cls(model, track, deployment, planned, None)
        status = live.get("status", {})
        return cls(
            model,
            track,
            deployment,
            planned,
            running=find_model_image(live["spec"]),
            replicas=live["spec"].get("replicas", 1),
            # The API server leaves out counts that are 0.
            updated=status.get("updatedReplicas", 0),
            ready=status.get("readyReplicas", 0),
            available=status.get("availableReplicas", 0),
        )

    @property
    def is_behind(self) -> bool:
        """Returns True if the plan has another image than the one that runs."""
        return self.planned is not None and self.running != self.planned


def render_status(
    tracks: Sequence[TrackStatus], plan: StackPlan, pending: Sequence[str] | None
) -> str:
    """Renders every track with its image and Pods, and the next command if the plan is ahead.

    `pending` are the models whose files changed since the last `up`.
    """
    rows = [["deployment", "image", "updated", "ready", "available", ""]]
    rows += [_render_track(track) for track in tracks]
    behind = [track for track in tracks if track.is_behind]
    simulated = "  (simulated nodes: no container runs)" if plan.cluster.local else ""
    text = f"{plan.stack}  {plan.namespace.name} on {plan.cluster.context}{simulated}\n\n"
    text += render_table(rows)
    if behind:
        text += f"\n\n{len(behind)} behind the catalog."
    if behind and not pending:
        text += f"   next: make up ENV={plan.stack.environment}"
    if pending:
        text += f"\n\n{render_pending(pending, plan.stack.environment)}"
    return text


def _render_track(track: TrackStatus) -> list[str]:
    if track.running is None:
        return [track.deployment, "not deployed", "", "", "", ""]
    counts = [
        f"{count}/{track.replicas}" for count in (track.updated, track.ready, track.available)
    ]
    running, note = render_image(track.running), ""
    if track.planned is None:
        note = "not in the plan"
    elif track.is_behind:
        images = (track.running, track.planned)
        running, planned = render_apart(images, max_length=None, is_image=True)
        note = f"catalog: {planned}"
    return [track.deployment, running, *counts, note]
