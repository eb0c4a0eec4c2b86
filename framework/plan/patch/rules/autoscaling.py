"""Rules of the API server for autoscalers and their metrics."""

from __future__ import annotations

import re
from collections.abc import Iterator

from framework.core.diagnostics import KeyPath, SettingDiagnostic
from framework.plan.patch.rules.base import Object, Rule, Show, amount, broken, items

# The source that a metric of each type has, and the targets of which it needs exactly one.
_METRICS = {
    "ContainerResource": ("containerResource", ("averageUtilization", "averageValue"), True),
    "External": ("external", ("value", "averageValue"), True),
    "Object": ("object", ("value", "averageValue"), False),
    "Pods": ("pods", ("averageValue",), False),
    "Resource": ("resource", ("averageUtilization", "averageValue"), True),
}
_SOURCES = tuple(source for source, _, _ in _METRICS.values())


def _check_metric(metric: Object, show: Show) -> Iterator[SettingDiagnostic]:
    """Checks that a metric has the source of its type, and a target that fits the source."""
    source, targets, only_one = _METRICS[metric["type"]]
    for other in _SOURCES:
        if other != source and other in metric:
            message = f'belongs to another type than "{metric["type"]}"; expected {source} alone'
            yield broken((other,), message, at_key=True)
    if source not in metric:
        yield broken((), f'has type "{metric["type"]}"; expected {source} with it')
        return
    target = metric[source]["target"]
    given = [name for name in targets if name in target]
    if not given or (only_one and len(given) > 1):
        count = "exactly one of " if only_one else ""
        message = f"has {len(given)} of {' and '.join(targets)}; expected {count}"
        yield broken((source, "target"), message + " or ".join(targets))
    for name in ("value", "averageValue"):
        if name in target and not amount(target[name]) > 0:
            path = (source, "target", name)
            yield broken(path, f"is {show(path, target[name])}; expected more than 0")


def _check_autoscaler(spec: Object, show: Show) -> Iterator[SettingDiagnostic]:
    yield from _check_target(spec["scaleTargetRef"], show)
    fewest, most = spec.get("minReplicas"), spec["maxReplicas"]
    if fewest is not None and most < fewest:
        yield broken(("maxReplicas",), f"is {most}; expected at least minReplicas, {fewest}")
    types = {metric["type"] for metric in items(spec, "metrics")}
    if fewest == 0 and not types & {"External", "Object"}:
        message = "is 0, which needs a metric of type External or Object"
        yield broken(("minReplicas",), message)


def _check_target(target: Object, show: Show) -> Iterator[SettingDiagnostic]:
    """Checks what an autoscaler scales: a kind that belongs to an API group."""
    version = target.get("apiVersion") or ""
    if not re.fullmatch("[^/]+/[^/]+", version):
        path: KeyPath = ("scaleTargetRef", "apiVersion")
        yield broken(path, f"is {show(path, version)}; expected a group and a version: apps/v1")


def _check_reference(reference: Object, show: Show) -> Iterator[SettingDiagnostic]:
    version = reference.get("apiVersion") or ""
    if version.count("/") > 1:
        message = f"is {show(('apiVersion',), version)}; expected a version such as apps/v1"
        yield broken(("apiVersion",), message)


def _check_scaling(rules: Object, show: Show) -> Iterator[SettingDiagnostic]:
    # Without the field, the server sets policies.
    if rules.get("policies") == []:
        yield broken(("policies",), "is empty; expected one or more")


RULES: dict[str, Rule] = {
    "HPAScalingRules": _check_scaling,
    "HorizontalPodAutoscalerSpec": _check_autoscaler,
    "CrossVersionObjectReference": _check_reference,
    "MetricSpec": _check_metric,
}
