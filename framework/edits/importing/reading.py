"""Reads all settings of a workload, and decides what becomes of those that validation refuses."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import replace
from typing import Any

from pydantic.alias_generators import to_snake

from framework.core.diagnostics import KeyPath
from framework.edits.importing.companions import read_companions
from framework.edits.importing.containers import Settings, unused_name
from framework.edits.importing.entry import build_settings
from framework.edits.importing.pods import read_deployment
from framework.edits.importing.translation import Translation
from framework.kinds.naming import RESERVED_LABELS
from framework.plan.api_defaults import normalize
from framework.settings.model import Model

# Settings that describe one object. An object that they cannot describe, such as an Ingress without
# a host, goes to `objects`.
_KIND_OF = {
    "ingress": "Ingress",
    "disruptionBudget": "PodDisruptionBudget",
    "networkPolicy": "NetworkPolicy",
}


def read_settings(translation: Translation, owner: str) -> Model | None:
    """Reads all settings of a model, without any profile or default; None if they are not valid.

    In `translation`, it records the refused settings, and moves or removes the objects that no
    setting can describe.
    """
    settings = _read_all(translation, owner)
    wanted, refused = build_settings(settings)
    recorded = set(refused)
    if wanted is not None and _adapt(translation, settings, wanted, refused):
        wanted, others = build_settings(_read_all(translation, owner))
        # An object in `objects` is still read as a setting, which is refused again.
        refused |= {path: reason for path, reason in others.items() if path not in recorded}
    for path, reason in refused.items():
        if path[0] == "objects" and len(path) > 1:
            _drop_extra(translation, str(path[1]), reason)
    translation.refused = {".".join(map(str, path)): reason for path, reason in refused.items()}
    return wanted


def _read_all(translation: Translation, owner: str) -> Settings:
    normal = replace(translation, objects=[_normalize(obj) for obj in translation.objects])
    settings = read_deployment(normal.deployment)
    settings["owner"] = owner
    _read_labels(normal, settings)
    read_companions(normal, settings)
    settings["objects"] = deepcopy(translation.extra)
    return settings


def _adapt(
    translation: Translation, settings: Settings, wanted: Model, refused: dict[KeyPath, str]
) -> bool:
    """Moves or removes the objects and metrics whose settings are refused.

    Returns True if this has changed anything. What is recorded in `translation` leaves `refused`.
    """
    changed = False
    for name, kind in _KIND_OF.items():
        if settings.get(name) and getattr(wanted, to_snake(name)) is None:
            reasons = {path: reason for path, reason in refused.items() if path[0] == name}
            _move_to_extra(translation, kind, _first_reason(reasons, name))
            for path in reasons:
                del refused[path]
            changed = True
    if settings["autoscaling"]:
        reasons = {path: reason for path, reason in refused.items() if path[0] == "autoscaling"}
        if wanted.autoscaling is None:
            _leave_out_autoscaler(translation, _first_reason(reasons, "autoscaling"))
            for path in reasons:
                del refused[path]
            return True
        for path in reasons:
            # The autoscaler cannot compute this metric. If it stayed in the manifest, a patch would
            # add it again.
            if path[1:] in (("cpu",), ("memory",)):
                _drop_metric(translation, str(path[1]))
    return changed


def _first_reason(reasons: Mapping[KeyPath, str], setting: str) -> str:
    """Returns the cause: without its only metric, an autoscaler has no target either."""
    path, reason = next(iter(reasons.items()), ((setting,), "is not valid"))
    return f"{'.'.join(map(str, path))} {reason}"


def _move_to_extra(result: Translation, kind: str, reason: str) -> None:
    """Moves an object to `objects`, because the settings for its kind cannot describe it."""
    for obj in [obj for obj in result.objects if obj["kind"] == kind]:
        if not any(obj is other for other in result.extra.values()):
            result.extra[unused_name(kind.lower(), result.extra)] = obj
            result.kept[result.workload.find_all(kind)[0]] = reason


def _drop_metric(result: Translation, resource: str) -> None:
    """Removes the metric of a resource from the autoscaler, and records it as dropped."""
    spec = next(o for o in result.objects if o["kind"] == "HorizontalPodAutoscaler")["spec"]
    for index, metric in enumerate(spec["metrics"]):
        if (metric.get("resource") or {}).get("name") == resource:
            result.dropped.append(("HorizontalPodAutoscaler", ("spec", "metrics", index), metric))
    spec["metrics"] = [
        metric
        for metric in spec["metrics"]
        if (metric.get("resource") or {}).get("name") != resource
    ]


def _leave_out_autoscaler(result: Translation, reason: str) -> None:
    """Removes the autoscaler, and lets the model keep the number of Pods that it starts with."""
    (obj,) = (o for o in result.objects if o["kind"] == "HorizontalPodAutoscaler")
    result.objects.remove(obj)
    result.dropped.append((obj["kind"], (), obj))
    source = result.workload.find_all("HorizontalPodAutoscaler")[0]
    # Without a metric, an autoscaler still keeps the number between its limits.
    replicas = result.workload.deployment.object["spec"].get("replicas", 1)
    limits = [obj["spec"].get("minReplicas", 1), obj["spec"].get("maxReplicas", replicas)]
    if all(isinstance(number, int) for number in (replicas, *limits)):
        replicas = min(max(replicas, limits[0]), limits[1])
    result.deployment["spec"]["replicas"] = replicas
    result.renamed = [line for line in result.renamed if not line.startswith("spec.replicas")]
    result.unexpressed[source] = f"{reason}; the model keeps {replicas} replicas"


def _drop_extra(result: Translation, key: str, reason: str) -> None:
    """Removes an object that is not valid in `objects`, and records the reason."""
    obj = result.extra.pop(key, None)
    if obj is None:
        return
    result.objects = [other for other in result.objects if other is not obj]
    for source in (*result.workload.others, *result.workload.companions):
        if (source.kind, source.name) == (obj["kind"], obj["metadata"].get("name")):
            result.kept.pop(source, None)
            result.unexpressed[source] = reason


def _read_labels(translation: Translation, settings: Settings) -> None:
    """Adds `labels`, which all objects have, and `podLabels`, which only the Pods have."""
    deployment = translation.deployment
    shared = deployment["metadata"].get("labels") or {}
    template = deployment["spec"]["template"].get("metadata") or {}
    labels = {k: v for k, v in (template.get("labels") or {}).items() if k not in RESERVED_LABELS}
    # `labels` would replace a label that another object has with another value.
    objects = [obj["metadata"].get("labels") or {} for obj in translation.objects]
    settings["labels"] = {
        key: value
        for key, value in labels.items()
        if shared.get(key) == value and all(own.get(key, value) == value for own in objects)
    }
    settings["podLabels"] = {k: v for k, v in labels.items() if k not in settings["labels"]}


def _normalize(obj: Mapping[str, Any]) -> dict[str, Any]:
    return {"metadata": {}, "spec": {}, **normalize(obj)}
