"""What a track says of its updates that cannot work, on the environment's oldest server.

Kept apart from the arithmetic, which knows no settings and no files: this asks it about each track
and tells the answer at the line of the setting.
"""

from __future__ import annotations

from collections.abc import Iterator

from framework.core.diagnostics import Code, Diagnostic, KeyPath
from framework.core.rolling_update import Update, find_budget_diagnostics, resolve_canary_size
from framework.kinds.naming import RESERVED_LABELS
from framework.plan.checks.tracks import CheckedTrack, find_position
from framework.settings.environment import Cluster


def find_rollout_diagnostics(track: CheckedTrack, cluster: Cluster) -> Iterator[Diagnostic]:
    """Budget, deadlines, the canary's size, features too new for `cluster`, reserved labels."""
    for setting, message in _find_budget(track):
        yield track.diagnostic(
            Code.BUDGET, *_at_diagnostic(track, tuple(setting.split(".")), message)
        )
    if not track.stable:
        for setting, message in _find_canary(track):
            position = find_position(track.model, tuple(setting.split(".")))
            yield position.diagnostic(Code.CANARY, message, track.model.name)
    for path, message in _find_new_features(track, cluster):
        yield track.diagnostic(Code.SERVER_VERSION, path, message)
    for label in sorted(RESERVED_LABELS & track.settings.labels.keys()):
        message = f'label "{label}" is set by the framework; expected another name'
        yield track.diagnostic(Code.RESERVED_LABEL, ("labels", label), message)


_PAIR: tuple[KeyPath, KeyPath] = (("rollout", "maxSurge"), ("rollout", "maxUnavailable"))


def _at_diagnostic(track: CheckedTrack, path: KeyPath, message: str) -> tuple[KeyPath, str]:
    """Of two settings that go wrong together the one that the model's own file says, and where
    both stand."""
    if path not in _PAIR:
        return path, message
    positions = {each: track.merged.origin(each) for each in _PAIR}
    own = [
        each
        for each, position in positions.items()
        if position and position.path == track.model.home
    ]
    said = ", ".join(
        f"{p[-1]} at {position.short}" for p, position in positions.items() if position
    )
    return (own[0] if path not in own and own else path), f"{message} ({said})" if said else message


def _find_budget(track: CheckedTrack) -> list[tuple[str, str]]:
    if not track.stable:
        # The stable Pods serve on while the canary's are replaced, and one disruption budget and
        # one autoscaler serve them both.
        return find_budget_diagnostics(
            _build_update(track, track.plan.budget.replicas, alone=False)
        )
    scaling = track.settings.autoscaling
    total = scaling.max_replicas if scaling else track.settings.replicas
    found = find_budget_diagnostics(_build_update(track, total, alone=True, whole=True))
    if (own := track.plan.budget.replicas) == total:
        return found
    told = {setting for setting, _ in found}
    rest = f"; the canary takes {total - own} of {total} replicas (canary.mode within)"
    return found + [
        (setting, message + rest)
        for setting, message in find_budget_diagnostics(_build_update(track, own, alone=True))
        if setting not in told
    ]


def _build_update(
    track: CheckedTrack, replicas: int, *, alone: bool, whole: bool = False
) -> Update:
    """`whole`: the model with both its tracks, which disruption budget and autoscaler are about."""
    settings = track.settings
    scaling, budget = settings.autoscaling, settings.disruption_budget
    return Update(
        replicas=replicas,
        max_surge=settings.rollout.max_surge,
        max_unavailable=settings.rollout.max_unavailable,
        startup_seconds=settings.startup_seconds,
        min_ready_seconds=settings.rollout.min_ready_seconds,
        progress_deadline_seconds=settings.rollout.progress_deadline_seconds,
        disruption_min_available=budget.min_available if budget and whole else None,
        autoscaler_min_replicas=scaling.min_replicas if scaling and whole else None,
        serves_alone=alone,
    )


def _find_canary(track: CheckedTrack) -> Iterator[tuple[str, str]]:
    settings = track.model.settings
    if settings.canary.mode == "additional":
        return
    if settings.autoscaling:
        message = "canary.mode is within, but an autoscaler owns replicas; expected additional"
        yield "canary.mode", message
    elif resolve_canary_size(settings.canary.size, settings.replicas) >= settings.replicas:
        yield (
            "canary.size",
            f"canary.size {settings.canary.size} within {settings.replicas} replicas leaves no "
            "stable Pod; expected a smaller size, mode additional, or more replicas",
        )


# What needs a newer server than the oldest that an environment may name.
def _find_new_features(track: CheckedTrack, cluster: Cluster) -> Iterator[tuple[KeyPath, str]]:
    settings = track.settings
    features: list[tuple[KeyPath, int, str]] = []
    if settings.pre_stop_seconds > 0:
        features.append((("preStopSeconds",), 30, "native preStop sleep"))
    for name, volume in sorted(settings.volumes.items()):
        if volume.image:
            features.append((("volumes", name, "image"), 33, "an image volume"))
    for path, minor, feature in features:
        if cluster.minor_version < minor:
            yield (
                path,
                f"{feature} needs Kubernetes 1.{minor}; the environment says it may meet "
                f"{cluster.kubernetes_version} (cluster.kubernetesVersion)",
            )
