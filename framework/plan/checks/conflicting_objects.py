"""Finds objects of `objects` that undo what the settings of the same model do.

An autoscaler, and every `up` with `replicas`, would set the number of Pods in turn. With two
PodDisruptionBudgets for one Pod, the API server refuses every eviction, so no node can be drained.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from framework.core.diagnostics import Diagnostic, KeyPath, SettingDiagnostic
from framework.kube.objects import group_of
from framework.plan.checks.pods import RenderedTrack
from framework.plan.manifest import ModelPlan
from framework.plan.rendered import mapping_in, selects

# The limits of each autoscaler, and the default of its resource definition.
_LIMITS: Mapping[str, tuple[tuple[str, int], tuple[str, int | None]]] = {
    "HorizontalPodAutoscaler": (("minReplicas", 1), ("maxReplicas", None)),
    # https://keda.sh/docs/latest/reference/scaledobject-spec
    "ScaledObject": (("minReplicaCount", 0), ("maxReplicaCount", 100)),
}


def find_conflicting_objects(
    tracks: tuple[RenderedTrack, ...], plan: ModelPlan
) -> Iterator[Diagnostic]:
    """Yields second autoscalers and second disruption budgets. The stable track is the first."""
    stable, deployments = tracks[0], {track.plan.deployment: track for track in tracks}
    autoscaling, first = stable.settings.autoscaling, ""
    problems: list[SettingDiagnostic] = []
    for key, content in sorted(stable.settings.objects.items()):
        kind, spec = content["kind"], mapping_in(content, "spec")
        target = mapping_in(spec, "scaleTargetRef")
        at: KeyPath = ("objects", key, "spec", "scaleTargetRef")
        track = deployments.get(str(target.get("name")))
        # KEDA scales a Deployment where no kind is given.
        if track and target.get("kind", "Deployment") == "Deployment":
            problems += _find_autoscaler(track, stable, key, content)
            if first:
                message = (
                    f"is the same Deployment as that of objects.{first}, and both would set the "
                    "number of Pods in turn; remove one of the two"
                )
                problems.append(SettingDiagnostic(at, message, others=(("objects", first),)))
            first = key
        elif autoscaling and autoscaling.external and not track and kind in _LIMITS:
            message = (
                f"is {target.get('name')}, but autoscaling.external leaves the number of Pods of "
                f"this model to it; expected {stable.plan.deployment}"
            )
            others = (("autoscaling", "external"),)
            problems.append(SettingDiagnostic((*at, "name"), message, others=others))
        if (group_of(content["apiVersion"]), kind) == ("policy", "PodDisruptionBudget"):
            problems += _find_disruption_budget(stable, plan, key, mapping_in(spec, "selector"))
    yield from map(stable.report, problems)


def _find_autoscaler(
    track: RenderedTrack, stable: RenderedTrack, key: str, content: Mapping[str, Any]
) -> Iterator[SettingDiagnostic]:
    """Yields why an object must not scale a track, or limits beyond those of `autoscaling`."""
    path: KeyPath = ("objects", key, "spec", "scaleTargetRef")
    kind, autoscaling = content["kind"], stable.settings.autoscaling
    if not track.stable:
        message = (
            "is the canary track, whose size canary.size decides; expected "
            f"{stable.plan.deployment}, or no {kind} while a candidate runs"
        )
        yield SettingDiagnostic(path, message, others=(("canary", "candidate"),))
        return
    if autoscaling is None:
        message = (
            "is the Deployment of this model, and every up would set it back to replicas, "
            f"{stable.settings.replicas}; to leave the number of Pods to the {kind}, set "
            "autoscaling: {external: true, minReplicas: ..., maxReplicas: ...} with its limits"
        )
        yield SettingDiagnostic(path, message, others=(("replicas",),))
        return
    if not autoscaling.external:
        message = (
            "is the Deployment of this model, for which autoscaling makes a "
            "HorizontalPodAutoscaler already; remove one of the two, or set autoscaling.external: "
            f"true, without cpu, memory and metrics, to leave the number of Pods to the {kind}"
        )
        yield SettingDiagnostic(path, message, others=(("autoscaling",),))
        return
    # The rollout budget is computed from the limits of `autoscaling`.
    spec = mapping_in(content, "spec")
    own = (("minReplicas", autoscaling.min_replicas), ("maxReplicas", autoscaling.max_replicas))
    for (field, default), (setting, limit) in zip(_LIMITS.get(kind, ()), own, strict=False):
        number, is_low = spec.get(field, default), setting == "minReplicas"
        if isinstance(number, int) and (number < limit if is_low else number > limit):
            by_default = "" if field in spec else " by default"
            message = (
                f"is {number}{by_default}; expected {'at least' if is_low else 'at most'} "
                f"autoscaling.{setting}, which is {limit} and decides the rollout budget"
            )
            others = (("autoscaling", setting),)
            yield SettingDiagnostic(("objects", key, "spec", field), message, others=others)


def _find_disruption_budget(
    stable: RenderedTrack, plan: ModelPlan, key: str, selector: Mapping[str, Any]
) -> Iterator[SettingDiagnostic]:
    deployment = plan.find("Deployment")
    if stable.settings.disruption_budget is None or deployment is None or not selector:
        return
    template = deployment.object["spec"]["template"]
    if selects(selector, mapping_in(mapping_in(template, "metadata"), "labels")):
        message = (
            "selects the Pods of this model, for which disruptionBudget makes a "
            "PodDisruptionBudget already, and no node could be drained; remove one of the two: "
            "disruptionBudget: null removes an inherited one"
        )
        path: KeyPath = ("objects", key, "spec", "selector")
        yield SettingDiagnostic(path, message, others=(("disruptionBudget",),))
