"""Checks the rolling update of a track, and features that the oldest server does not have.

The arithmetic is in core.rolling_update. This module finds the setting that each error is about.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from framework.catalog import Catalog
from framework.core.diagnostics import Code, Diagnostic, KeyPath, SettingDiagnostic
from framework.core.field_paths import FieldPath, get_at
from framework.core.rolling_update import Update, find_budget_diagnostics, resolve_canary_size
from framework.kinds.naming import RESERVED_LABELS
from framework.plan.checks.pods import RenderedTrack
from framework.plan.rendered import mapping_in, mappings_in
from framework.plan.replicas import replica_range
from framework.plan.startup import StartupStep, list_startup_steps
from framework.settings.model import Model
from framework.settings.probes import Probe
from framework.settings.volumes import Claim


def find_rollout_diagnostics(
    tracks: Sequence[RenderedTrack], catalog: Catalog
) -> Iterator[Diagnostic]:
    """Yields errors about budget, claims, canary size, server version and reserved labels."""
    pods = sum(track.count for track in tracks)
    for track in tracks:
        for found in (*_find_budget(track), *_find_exclusive(track, pods)):
            yield track.report(found)
        if not track.stable:
            for found in _find_canary(track):
                yield track.report_stable(found)
        yield from _find_new_features(track, catalog)
        yield from _find_scale_to_zero(track, catalog)
        settings = track.settings
        for path, labels in (
            (("labels",), settings.labels),
            (("podLabels",), settings.pod_labels),
            (("service", "labels"), settings.service.labels),
            *((("services", key, "labels"), s.labels) for key, s in settings.services.items()),
        ):
            for label in sorted(RESERVED_LABELS & labels.keys()):
                message = f'label "{label}" is set by the framework; expected another name'
                yield track.diagnostic(Code.RESERVED_LABEL, (*path, label), message)


def _find_budget(track: RenderedTrack) -> list[SettingDiagnostic]:
    if not track.stable:
        # The stable Pods serve while the canary's are replaced, and both tracks share one
        # disruption budget and one autoscaler.
        return find_budget_diagnostics(_build_update(track, alone=False))
    # The budget is checked twice: for both tracks together, which share the disruption budget and
    # the autoscaler, and for the stable track alone, if the canary takes some of its Pods.
    total = replica_range(track.settings).most
    diagnostics = find_budget_diagnostics(_build_update(track, alone=True, total=total))
    own = track.count
    if own == total:
        return diagnostics
    reported = {found.path for found in diagnostics}
    rest = f"; the canary takes {total - own} of {total} replicas (canary.mode within)"
    causes: tuple[KeyPath, ...] = (("canary", "mode"), ("canary", "size"))
    return diagnostics + [
        found._replace(message=found.message + rest, others=(*found.others, *causes))
        for found in find_budget_diagnostics(_build_update(track, alone=True))
        if found.path not in reported
    ]


def _build_update(track: RenderedTrack, *, alone: bool, total: int | None = None) -> Update:
    """Builds the input of the budget checks.

    `alone` is False where the Pods of another track serve during the update. `total` are the
    replicas of both tracks together, which the disruption budget and the autoscaler are about; None
    for the track's own.
    """
    settings, rollout = track.settings, track.settings.rollout
    scaling = None if total is None else settings.autoscaling
    budget = None if total is None else settings.disruption_budget
    return Update(
        replicas=track.count if total is None else total,
        max_surge=rollout.max_surge,
        max_unavailable=rollout.max_unavailable,
        startup_seconds=track.plan.startup_seconds,
        min_ready_seconds=rollout.min_ready_seconds,
        progress_deadline_seconds=rollout.progress_deadline_seconds,
        disruption_min_available=budget.min_available if budget else None,
        disruption_max_unavailable=budget.max_unavailable if budget else None,
        autoscaler_min_replicas=scaling.min_replicas if scaling else None,
        serves_alone=alone,
        may_be_down=_may_be_down(track),
        recreate=track.plan.recreate,
        startup_causes=_list_startup_causes(track),
    )


def _may_be_down(track: RenderedTrack) -> bool:
    """Returns True if the model itself allows an update to stop all its Pods at the same time.

    `maxUnavailable: 1` in a profile or in environment.yaml does not count, even if the model has
    one replica: it is meant for models with more. The model's own does not count either if a later
    layer sets the replicas: its author expected more Pods. Of percentages, only 100% counts.
    """
    unavailable = track.settings.rollout.max_unavailable
    count = replica_range(track.settings)
    is_all = unavailable == "100%" or (isinstance(unavailable, int) and unavailable >= count.most)
    return (
        is_all
        and track.model.sets_itself(("rollout", "maxUnavailable"), track.merged)
        and track.merged.find_latest([("rollout", "maxUnavailable"), count.most_setting])
        != count.most_setting
    )


def _list_startup_causes(track: RenderedTrack) -> tuple[KeyPath, ...]:
    """Returns the settings that decide how long a Pod takes to start, the largest share first."""
    steps = list_startup_steps(track.pod, track.settings.startup_seconds)
    # The first cause is the one that a message names, so it is the one that is worth changing.
    largest_first = sorted(steps, key=lambda step: -step.seconds)
    return tuple(
        dict.fromkeys(
            _find_setting(track, step, field) for step in largest_first for field in step.fields
        )
    )


def _find_setting(track: RenderedTrack, step: StartupStep, field: str) -> KeyPath:
    """Returns the setting, or the patch, behind a field of a probe or a postStart hook."""
    if not step.path:
        return ("startupSeconds",)
    if patched := track.find_patched(*step.path, field):
        return patched
    setting = next(c.setting for c in track.containers if c.steps == step.path[:2])
    if step.path[2] == "lifecycle":
        return (*setting, "lifecycle", "postStart", "sleepSeconds")
    name = str(step.path[2]).removesuffix("Probe")
    written = (*setting, "probes", name, field)
    if name == "startup" and written not in track.merged.origins:
        if field == "failureThreshold" and not setting:
            return ("startupSeconds",)
        # A startup probe without an action of its own is a copy of the readiness probe.
        probes = get_at(track.merged.data, (*setting, "probes"), {})
        if not Probe.replaces.keys() & mapping_in(probes, name).keys():
            return (*setting, "probes", "readiness", field)
    return written


def _find_canary(track: RenderedTrack) -> Iterator[SettingDiagnostic]:
    settings = track.model.settings
    mode: KeyPath = ("canary", "mode")
    if settings.canary.mode == "additional":
        return
    if settings.autoscaling:
        message = "is within, but the autoscaler sets replicas; expected additional"
        yield SettingDiagnostic(mode, message, Code.CANARY, (("autoscaling",),))
    elif resolve_canary_size(settings.canary.size, settings.replicas) >= settings.replicas:
        yield SettingDiagnostic(
            ("canary", "size"),
            f"{settings.canary.size} within {settings.replicas} replicas leaves no stable Pod; "
            "expected a smaller size, mode additional, or more replicas",
            Code.CANARY,
            (mode, ("replicas",)),
        )


def _find_scale_to_zero(track: RenderedTrack, catalog: Catalog) -> Iterator[Diagnostic]:
    """Yields a smallest size of zero where the autoscaler cannot scale to zero.

    The gate is alpha since 1.16, and beta and on since 1.37 (pkg/features/kube_features.go).
    """
    scaling, cluster = track.settings.autoscaling, catalog.environment.cluster
    if scaling is None or scaling.external:
        return
    if scaling.min_replicas == 0 and not cluster.has_feature("HPAScaleToZero", 37):
        version = catalog.environment_position(("cluster", "kubernetesVersion"))
        message = (
            "autoscaling.minReplicas 0 needs Kubernetes 1.37; the oldest server of the environment "
            f"has {cluster.kubernetes_version} (cluster.kubernetesVersion, {version.short}). "
            "Expected 1 or more, or cluster.featureGates: {HPAScaleToZero: true} where the servers "
            "have this feature gate"
        )
        yield track.diagnostic(Code.SERVER_VERSION, ("autoscaling", "minReplicas"), message)


def _find_new_features(track: RenderedTrack, catalog: Catalog) -> Iterator[Diagnostic]:
    """Yields the settings that need a newer server than the oldest one of the environment.

    If no file sets the feature, but a default does, the error is at the version.
    """
    settings, cluster = track.settings, catalog.environment.cluster
    features: list[tuple[KeyPath, int, str]] = []
    if settings.pre_stop_seconds > 0:
        features.append((("preStopSeconds",), 30, "native preStop sleep"))
    for name, volume in sorted(settings.volumes.items()):
        if volume.image:
            features.append((("volumes", name, "image"), 33, "an image volume"))
    # Servers from 1.26 on know the field, and drop it without an error until 1.34.
    for name in sorted(settings.pod.resource_claims):
        claim: KeyPath = ("pod", "resourceClaims", name)
        features.append((claim, 34, "dynamic resource allocation"))
    version = catalog.environment_position(("cluster", "kubernetesVersion"))
    for path, minor, feature in features:
        if cluster.minor_version >= minor:
            continue
        message = (
            f"{feature} needs Kubernetes 1.{minor}; the oldest server of the environment has "
            f"{cluster.kubernetes_version} (cluster.kubernetesVersion, {version.short})"
        )
        if path in track.merged.origins:
            yield track.diagnostic(Code.SERVER_VERSION, path, message)
        else:
            message += f"; set {FieldPath(path)} to 0 for older servers"
            yield version.diagnostic(Code.SERVER_VERSION, message, track.model.name)


def _find_exclusive(track: RenderedTrack, pods: int) -> Iterator[SettingDiagnostic]:
    """Yields the settings for what only one Pod, or the Pods of one node, can have at a time.

    `pods` counts those of both tracks. An update waits for the new Pod to become ready before it
    stops the old one, and the new Pod waits for what the old one holds. If an update may take all
    Pods away, it frees them in time.
    """
    budget = track.plan.budget
    has_both = budget.surge > 0 and budget.minimum_available > 0
    found = [*_find_host_ports(track)] if has_both else []
    for name, volume in sorted(track.settings.volumes.items()):
        claim = volume.claim
        # The access modes of existing claims are known to the cluster alone.
        if claim is None or claim.size is None or _is_shared(claim, track.settings):
            continue
        path: KeyPath = ("volumes", name, "claim")
        modes = " and ".join(claim.access_modes)
        if pods > 1:
            yield SettingDiagnostic(
                path,
                f"is {modes}, which only one node can mount, and the model has {pods} Pods; "
                "expected accessModes [ReadWriteMany], or one replica and no canary",
                others=((*path, "accessModes"), ("replicas",), ("autoscaling", "maxReplicas")),
            )
        elif has_both:
            mounted = "Pod" if set(claim.access_modes) == {"ReadWriteOncePod"} else "node"
            if "access_modes" in claim.model_fields_set:
                path = (*path, "accessModes")
            found.append((path, f"is {modes}, which one {mounted} at a time can mount"))
    for path, message in found:
        yield SettingDiagnostic(
            path,
            f"{message}, and an update starts a new Pod beside the old one; expected "
            "rollout.strategy: Recreate, or maxSurge: 0 with maxUnavailable: 1, which stop the old "
            "Pod first",
            Code.BUDGET,
            (("rollout", "maxSurge"), ("rollout", "maxUnavailable")),
        )


def _is_shared(claim: Claim, settings: Model) -> bool:
    """Returns True where several Pods of a model can mount a claim at the same time.

    On the node of the old Pod, a new Pod can mount a claim that is ReadWriteOnce. But the scheduler
    ignores this: it spreads Pods over nodes, and on another node the volume cannot be attached
    while the old Pod runs. So the Pods must be bound to one node.
    """
    modes = set(claim.access_modes)
    on_one_node = "kubernetes.io/hostname" in settings.scheduling.node_selector
    return bool(modes & {"ReadWriteMany", "ReadOnlyMany"}) or (
        on_one_node and "ReadWriteOnce" in modes
    )


def _find_host_ports(track: RenderedTrack) -> Iterator[tuple[KeyPath, str]]:
    """Yields the ports of the node that the Pods take: two Pods on one node cannot have the same.

    With hostNetwork every port of a container is one of the node (`SetDefaults_PodSpec` in
    pkg/apis/core/v1/defaults.go). Another node may be free, but the files do not tell, and
    with two or more replicas maxSurge 0 keeps the model serving.
    """
    host_network = bool(track.pod.get("hostNetwork"))
    for container in track.containers:
        for port in mappings_in(container.fields, "ports"):
            number = port.get("containerPort") if host_network else port.get("hostPort")
            if not number:
                continue
            if host_network:
                path = track.find_patched("hostNetwork") or ("scheduling", "hostNetwork")
            else:
                patched = track.find_patched(*container.steps, "ports")
                path = patched or (*container.setting, "ports", str(port.get("name")))
            yield path, f"takes port {number} of the node, which one Pod at a time can have"
            return
