"""Deployment: runs the Pods of one track and replaces them within the rolling-update budget."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from framework.core.kind_rules import KindRules
from framework.kinds.kind import (
    SELECTOR,
    Kind,
    Manifest,
    TrackInput,
    computed,
    protected_labels,
    written_metadata,
)
from framework.kinds.naming import build_selector
from framework.settings.reserved import MODEL_CONTAINER

if TYPE_CHECKING:
    from framework.settings.scaling import Rollout


def build(track: TrackInput) -> Iterator[Manifest]:
    """Builds the Deployment of one track."""
    # Imported here: the Pod's settings need pydantic, and commands that read cached plans do not.
    from framework.kinds.pod import build_pod_template

    settings = track.settings
    rollout = settings.rollout
    selector = build_selector(track.model, track.track)
    # The autoscaler sizes the stable track alone; a canary has its fixed size.
    autoscaling = settings.autoscaling if track.track == "stable" else None
    annotations = dict(settings.annotations)
    if settings.description:
        annotations["modelcatalog/description"] = settings.description
    metadata = track.build_metadata(annotations, track.name)
    metadata["labels"] |= selector
    spec: dict[str, Any] = {
        "revisionHistoryLimit": rollout.revision_history_limit,
        "progressDeadlineSeconds": rollout.progress_deadline_seconds,
        "minReadySeconds": rollout.min_ready_seconds,
        "strategy": _build_strategy(rollout),
        "selector": {"matchLabels": selector},
        "template": build_pod_template(track),
    }
    # A field that is not sent stays what the autoscaler made it. See kube/patching.py for the
    # moment at which a Deployment gets an autoscaler.
    if autoscaling is None:
        spec = {"replicas": track.replicas, **spec}
    yield Manifest(
        track.name,
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec},
        ignore_changes=("spec.replicas",) if autoscaling else (),
        # An autoscaler does nothing while a Deployment has zero replicas.
        initial_replicas=max(1, autoscaling.min_replicas) if autoscaling else None,
        external_range=(
            (autoscaling.min_replicas, autoscaling.max_replicas)
            if autoscaling and autoscaling.external
            else None
        ),
        track=track.track,
    )


def _build_strategy(rollout: Rollout) -> dict[str, Any]:
    # The API server refuses `rollingUpdate` beside Recreate.
    if rollout.strategy == "Recreate":
        return {"type": "Recreate"}
    amounts = {"maxSurge": rollout.max_surge, "maxUnavailable": rollout.max_unavailable}
    return {"type": "RollingUpdate", "rollingUpdate": amounts}


_TEMPLATE = "spec.template.metadata"
_CONTAINER = f"spec.template.spec.containers[{MODEL_CONTAINER}]"

KIND = Kind(
    rules=KindRules("apps", "Deployment", replaced_by=("spec.selector",), wait_for="rollout"),
    build=build,
    per_track=True,
    protected={
        "spec.selector": SELECTOR,
        **protected_labels(_TEMPLATE),
        **written_metadata(_TEMPLATE),
        **{
            f"{_TEMPLATE}.{name}": "a Deployment names its Pods itself"
            for name in ("name", "namespace", "generateName")
        },
        "spec.template.spec.ephemeralContainers": "a Pod template cannot have them",
        "spec.replicas": computed("replicas"),
        "spec.paused": "an update would never end",
        "spec.strategy": computed("rollout.maxSurge, rollout.maxUnavailable or rollout.strategy"),
        "spec.minReadySeconds": computed("rollout.minReadySeconds"),
        "spec.progressDeadlineSeconds": computed("rollout.progressDeadlineSeconds"),
        f"{_CONTAINER}.image": computed("image"),
        f"{_CONTAINER}.resources": computed("resources"),
    },
)
