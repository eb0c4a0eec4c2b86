"""Finds objects of `objects` that undo what the settings of the same model do.

An autoscaler, and every `up` with `replicas`, would set the number of Pods in turn. With two
PodDisruptionBudgets for one Pod, the API server refuses every eviction, so no node can be drained.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from framework.core.diagnostics import Code, Diagnostic, KeyPath
from framework.core.field_paths import FieldPath
from framework.kube.objects import group_of
from framework.plan.checks.pods import RenderedTrack
from framework.plan.manifest import ModelPlan
from framework.plan.rendered import mapping_in, selects
from framework.settings.scaling import Autoscaling

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
    stable = tracks[0]
    deployments = {track.plan.deployment: track for track in tracks}
    autoscaling, first = stable.settings.autoscaling, ""
    for key, content in sorted(stable.settings.objects.items()):
        spec = mapping_in(content, "spec")
        target = mapping_in(spec, "scaleTargetRef")
        track = deployments.get(str(target.get("name")))
        # KEDA scales a Deployment where no kind is given.
        if track and target.get("kind", "Deployment") == "Deployment":
            yield from _find_autoscaler(track, stable, key, content)
            if first:
                yield _report_second(stable, key, first)
            first = key
        elif autoscaling and autoscaling.external and not track and content["kind"] in _LIMITS:
            yield _report_other_target(stable, key, spec)
        if (group_of(content["apiVersion"]), content["kind"]) == ("policy", "PodDisruptionBudget"):
            yield from _find_disruption_budget(stable, plan, key, mapping_in(spec, "selector"))


def _find_autoscaler(
    track: RenderedTrack, stable: RenderedTrack, key: str, content: Mapping[str, Any]
) -> Iterator[Diagnostic]:
    path: KeyPath = ("objects", key, "spec", "scaleTargetRef")
    kind, autoscaling = content["kind"], stable.settings.autoscaling
    if not track.stable:
        message = (
            f"{FieldPath(path)} is the canary track, whose size canary.size decides; expected "
            f"{stable.plan.deployment}, or no {kind} while a candidate runs"
        )
        yield stable.diagnostic(Code.INCONSISTENT, path, message, [("canary", "candidate")])
    elif autoscaling is None:
        message = (
            f"{FieldPath(path)} is the Deployment of this model, and every up would set it back to "
            f"replicas, {stable.settings.replicas}; to leave the number of Pods to the "
            f"{kind}, set autoscaling: {{external: true, minReplicas: ..., maxReplicas: ...}} with "
            "its limits"
        )
        yield stable.diagnostic(Code.INCONSISTENT, path, message, [("replicas",)])
    elif not autoscaling.external:
        message = (
            f"{FieldPath(path)} is the Deployment of this model, for which autoscaling makes a "
            f"HorizontalPodAutoscaler already; remove one of the two, or set autoscaling.external: "
            f"true, without cpu, memory and metrics, to leave the number of Pods to the {kind}"
        )
        yield stable.diagnostic(Code.INCONSISTENT, path, message, [("autoscaling",)])
    else:
        yield from _find_other_limits(stable, key, content, autoscaling)


def _report_second(stable: RenderedTrack, key: str, first: str) -> Diagnostic:
    path: KeyPath = ("objects", key, "spec", "scaleTargetRef")
    message = (
        f"{FieldPath(path)} is the same Deployment as that of objects.{first}, and both would set "
        "the number of Pods in turn; remove one of the two"
    )
    return stable.diagnostic(Code.INCONSISTENT, path, message, [("objects", first)])


def _report_other_target(stable: RenderedTrack, key: str, spec: Mapping[str, Any]) -> Diagnostic:
    path: KeyPath = ("objects", key, "spec", "scaleTargetRef", "name")
    message = (
        f"{FieldPath(path)} is {mapping_in(spec, 'scaleTargetRef').get('name')}, but "
        "autoscaling.external leaves the number of Pods of this model to it; expected "
        f"{stable.plan.deployment}"
    )
    return stable.diagnostic(Code.INCONSISTENT, path, message, [("autoscaling", "external")])


def _find_other_limits(
    stable: RenderedTrack, key: str, content: Mapping[str, Any], autoscaling: Autoscaling
) -> Iterator[Diagnostic]:
    """Yields limits beyond those of `autoscaling`, which the rollout budget is computed from."""
    own = (("minReplicas", autoscaling.min_replicas), ("maxReplicas", autoscaling.max_replicas))
    for (field, default), (setting, limit) in zip(
        _LIMITS.get(content["kind"], ()), own, strict=False
    ):
        spec = mapping_in(content, "spec")
        number = spec.get(field, default)
        path: KeyPath = ("objects", key, "spec", field)
        is_low = setting == "minReplicas"
        if not isinstance(number, int) or not (number < limit if is_low else number > limit):
            continue
        by_default = "" if field in spec else " by default"
        bound = "at least" if is_low else "at most"
        message = (
            f"{FieldPath(path)} is {number}{by_default}; expected {bound} "
            f"autoscaling.{setting}, which is {limit} and decides the rollout budget"
        )
        yield stable.diagnostic(Code.INCONSISTENT, path, message, [("autoscaling", setting)])


def _find_disruption_budget(
    stable: RenderedTrack, plan: ModelPlan, key: str, selector: Mapping[str, Any]
) -> Iterator[Diagnostic]:
    deployment = plan.find("Deployment")
    if stable.settings.disruption_budget is None or deployment is None or not selector:
        return
    template = deployment.object["spec"]["template"]
    if selects(selector, mapping_in(mapping_in(template, "metadata"), "labels")):
        path: KeyPath = ("objects", key, "spec", "selector")
        message = (
            f"{FieldPath(path)} selects the Pods of this model, for which disruptionBudget makes a "
            "PodDisruptionBudget already, and no node could be drained; remove one of the two: "
            "disruptionBudget: null removes an inherited one"
        )
        yield stable.diagnostic(Code.INCONSISTENT, path, message, [("disruptionBudget",)])
