"""Checks the rolling update of a track, and features that the oldest server does not have.

The arithmetic is in core.rolling_update. This module finds the setting that each error is about.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from framework.core.diagnostics import Code, Diagnostic, KeyPath
from framework.core.rolling_update import Update, find_budget_diagnostics, resolve_canary_size
from framework.kinds.naming import RESERVED_LABELS
from framework.plan.checks.tracks import RenderedTrack
from framework.plan.replicas import replica_range
from framework.settings.environment import Cluster
from framework.settings.model import Model


def find_rollout_diagnostics(track: RenderedTrack, cluster: Cluster) -> Iterator[Diagnostic]:
    """Yields errors about budget, deadlines, canary size, server version and reserved labels."""
    for setting, message in _find_budget(track):
        yield track.diagnostic(
            Code.BUDGET, *_choose_of_pair(track, tuple(setting.split(".")), message)
        )
    if not track.stable:
        for setting, message in _find_canary(track):
            position = track.model.position(tuple(setting.split(".")))
            yield position.diagnostic(Code.CANARY, message, track.model.name)
    for path, message in (
        *_find_new_features(track, cluster),
        *_find_scale_to_zero(track, cluster),
    ):
        yield track.diagnostic(Code.SERVER_VERSION, path, message)
    for path, labels in _list_labels(track.settings):
        for label in sorted(RESERVED_LABELS & labels.keys()):
            message = f'label "{label}" is set by the framework; expected another name'
            yield track.diagnostic(Code.RESERVED_LABEL, (*path, label), message)


def _list_labels(settings: Model) -> Iterator[tuple[KeyPath, Mapping[str, str]]]:
    """Yields each setting that gives labels to objects."""
    yield ("labels",), settings.labels
    yield ("podLabels",), settings.pod_labels
    yield ("service", "labels"), settings.service.labels
    for key, service in sorted(settings.services.items()):
        yield ("services", key, "labels"), service.labels


# An error about these two can be fixed at either of them.
_PAIR: tuple[KeyPath, KeyPath] = (("rollout", "maxSurge"), ("rollout", "maxUnavailable"))


def _choose_of_pair(track: RenderedTrack, path: KeyPath, message: str) -> tuple[KeyPath, str]:
    """Returns the path and the message of an error; both change only for settings in _PAIR.

    The path is then the setting that the model's own file has, and the message also names the
    positions of both settings.
    """
    if path not in _PAIR:
        return path, message
    positions = {setting: track.merged.origin(setting) for setting in _PAIR}
    own = [
        setting
        for setting, position in positions.items()
        if position and position.path == track.model.home
    ]
    written = ", ".join(
        f"{setting[-1]} at {position.short}" for setting, position in positions.items() if position
    )
    chosen = own[0] if path not in own and own else path
    return chosen, f"{message} ({written})" if written else message


def _find_budget(track: RenderedTrack) -> list[tuple[str, str]]:
    if not track.stable:
        # The stable Pods serve while the canary's are replaced, and both tracks share one
        # disruption budget and one autoscaler.
        return find_budget_diagnostics(_build_update(track, alone=False))
    total = replica_range(track.settings).most
    diagnostics = find_budget_diagnostics(_build_update(track, total, alone=True, whole=True))
    own = track.plan.budget.replicas
    if own == total:
        return diagnostics
    reported = {setting for setting, _ in diagnostics}
    rest = f"; the canary takes {total - own} of {total} replicas (canary.mode within)"
    return diagnostics + [
        (setting, message + rest)
        for setting, message in find_budget_diagnostics(_build_update(track, alone=True))
        if setting not in reported
    ]


def _build_update(
    track: RenderedTrack, replicas: int | None = None, *, alone: bool, whole: bool = False
) -> Update:
    """Builds the input of the budget checks; `replicas` are the track's own unless given.

    `alone` is False where the Pods of another track serve during the update. `whole` is True for
    both tracks together, whose sum the disruption budget and the autoscaler are about.
    """
    settings = track.settings
    scaling, budget = settings.autoscaling, settings.disruption_budget
    return Update(
        replicas=track.plan.budget.replicas if replicas is None else replicas,
        max_surge=settings.rollout.max_surge,
        max_unavailable=settings.rollout.max_unavailable,
        startup_seconds=settings.startup_seconds,
        min_ready_seconds=settings.rollout.min_ready_seconds,
        progress_deadline_seconds=settings.rollout.progress_deadline_seconds,
        disruption_min_available=budget.min_available if budget and whole else None,
        autoscaler_min_replicas=scaling.min_replicas if scaling and whole else None,
        serves_alone=alone,
    )


def _find_canary(track: RenderedTrack) -> Iterator[tuple[str, str]]:
    settings = track.model.settings
    if settings.canary.mode == "additional":
        return
    if settings.autoscaling:
        message = "canary.mode is within, but the autoscaler sets replicas; expected additional"
        yield "canary.mode", message
    elif resolve_canary_size(settings.canary.size, settings.replicas) >= settings.replicas:
        yield (
            "canary.size",
            f"canary.size {settings.canary.size} within {settings.replicas} replicas leaves no "
            "stable Pod; expected a smaller size, mode additional, or more replicas",
        )


def _find_scale_to_zero(track: RenderedTrack, cluster: Cluster) -> Iterator[tuple[KeyPath, str]]:
    """Yields a smallest size of zero where the autoscaler cannot scale to zero.

    The gate is alpha since 1.16, and beta and on since 1.37 (pkg/features/kube_features.go).
    """
    scaling = track.settings.autoscaling
    if scaling and scaling.min_replicas == 0 and not cluster.has_feature("HPAScaleToZero", 37):
        yield (
            ("autoscaling", "minReplicas"),
            "autoscaling.minReplicas 0 needs Kubernetes 1.37; the oldest server of the environment "
            f"has {cluster.kubernetes_version} (cluster.kubernetesVersion). Expected 1 or more, or "
            "cluster.featureGates: {HPAScaleToZero: true} where the servers have this feature gate",
        )


def _find_new_features(track: RenderedTrack, cluster: Cluster) -> Iterator[tuple[KeyPath, str]]:
    """Yields the settings that need a newer server than the oldest one of the environment."""
    settings = track.settings
    features: list[tuple[KeyPath, int, str]] = []
    if settings.pre_stop_seconds > 0:
        features.append((("preStopSeconds",), 30, "native preStop sleep"))
    for name, volume in sorted(settings.volumes.items()):
        if volume.image:
            features.append((("volumes", name, "image"), 33, "an image volume"))
    # Servers from 1.26 on know the field, and drop it without an error until 1.34.
    for name in sorted(settings.pod.resource_claims):
        path: KeyPath = ("pod", "resourceClaims", name)
        features.append((path, 34, "dynamic resource allocation"))
    for path, minor, feature in features:
        if cluster.minor_version < minor:
            yield (
                path,
                f"{feature} needs Kubernetes 1.{minor}; the oldest server of the environment has "
                f"{cluster.kubernetes_version} (cluster.kubernetesVersion)",
            )
