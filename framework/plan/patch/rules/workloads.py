"""Rules of the API server for what runs Pods: selectors, strategies, Jobs and CronJobs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from framework.core.diagnostics import KeyPath, SettingDiagnostic
from framework.plan.patch.rules.base import (
    Object,
    Rule,
    Show,
    broken,
    every,
    items,
    mapping,
    needs,
)
from framework.plan.rendered import selects

_TEMPLATE = ("template", "spec")
_INDEXES = "([0-9]+(-[0-9]+)?(,[0-9]+(-[0-9]+)?)*)?"


def _check_selector(spec: Object, show: Show) -> Iterator[SettingDiagnostic]:
    """Checks that the selector of a workload is not empty, and selects the Pods of its template."""
    selector = spec["selector"]
    labels = mapping(spec, "template", "metadata", "labels")
    if not any(selector.values()):
        yield broken(("selector",), "is empty; expected a label of the Pods")
    elif not selects(selector, labels):
        yield broken(("selector",), "does not match the labels of the template")


def _check_restarts(spec: Object, show: Show) -> Iterator[SettingDiagnostic]:
    """Checks the Pods of a workload that restarts them for ever."""
    pod = mapping(spec, *_TEMPLATE)
    if pod.get("restartPolicy") not in (None, "Always"):
        yield broken((*_TEMPLATE, "restartPolicy"), 'expected "Always", the default')
    if pod.get("activeDeadlineSeconds") is not None:
        yield broken((*_TEMPLATE, "activeDeadlineSeconds"), "can be set in Jobs only")


def _check_deployment(spec: Object, show: Show) -> Iterator[SettingDiagnostic]:
    ready, deadline = spec.get("minReadySeconds", 0), spec.get("progressDeadlineSeconds", 600)
    if deadline <= ready:
        field = (
            "progressDeadlineSeconds" if "progressDeadlineSeconds" in spec else "minReadySeconds"
        )
        message = f": the deadline is {deadline}; expected more than minReadySeconds, {ready}"
        yield broken((field,), message)
    strategy = mapping(spec, "strategy")
    rolling = strategy.get("rollingUpdate")
    if strategy.get("type") == "Recreate" and rolling is not None:
        yield broken(("strategy", "rollingUpdate"), "cannot be set with type: Recreate")
    if rolling and _is_zero(rolling.get("maxSurge", 1)) and _is_zero(
        rolling.get("maxUnavailable", 1)
    ):  # fmt: skip
        yield broken(("strategy", "rollingUpdate"), "has maxSurge 0 and maxUnavailable 0; expected "
                     "one of them above 0")  # fmt: skip


def _is_zero(part: Any) -> bool:
    return part == 0 or (isinstance(part, str) and part.strip("0") == "%")


def _check_daemon_set(spec: Object, show: Show) -> Iterator[SettingDiagnostic]:
    strategy = mapping(spec, "updateStrategy")
    rolling = strategy.get("rollingUpdate")
    if rolling is None or strategy.get("type") == "OnDelete":
        return
    surge, unavailable = rolling.get("maxSurge", 0), rolling.get("maxUnavailable", 1)
    if _is_zero(surge) == _is_zero(unavailable):
        message = "expected either maxSurge or maxUnavailable above 0, the other one 0"
        yield broken(("updateStrategy", "rollingUpdate"), message)


def _check_stateful_set(spec: Object, show: Show) -> Iterator[SettingDiagnostic]:
    strategy = mapping(spec, "updateStrategy")
    kind, rolling = strategy.get("type", "RollingUpdate"), strategy.get("rollingUpdate")
    if kind == "Recreate":
        yield broken(("updateStrategy", "type"), 'is "Recreate"; expected "RollingUpdate" or '
                     '"OnDelete"')  # fmt: skip
    elif kind != "RollingUpdate" and rolling is not None:
        yield broken(("updateStrategy", "rollingUpdate"), "needs type: RollingUpdate")
    for index, claim in enumerate(items(spec, "volumeClaimTemplates")):
        if not mapping(claim, "metadata").get("name"):
            yield broken(("volumeClaimTemplates", index), "has no metadata.name; expected one")
    if rolling and _is_zero(rolling.get("maxUnavailable", 1)):
        path: KeyPath = ("updateStrategy", "rollingUpdate", "maxUnavailable")
        yield broken(path, "is 0; expected more")


def with_claims(spec: Object) -> Object:
    """Returns a StatefulSet's spec whose Pods have a volume for each of its claim templates.

    Its controller adds them to each Pod, so containers may mount them.
    """
    pod = mapping(spec, *_TEMPLATE)
    names = [
        mapping(claim, "metadata").get("name") for claim in items(spec, "volumeClaimTemplates")
    ]
    known = {volume.get("name") for volume in items(pod, "volumes")}
    volumes = [
        {"name": name, "persistentVolumeClaim": {"claimName": name}}
        for name in dict.fromkeys(names)
        if name and name not in known
    ]
    if not volumes or not pod:
        return spec
    pod = {**pod, "volumes": [*items(pod, "volumes"), *volumes]}
    return {**spec, "template": {**spec["template"], "spec": pod}}


def _check_controller(spec: Object, show: Show) -> Iterator[SettingDiagnostic]:
    """Checks a ReplicationController, whose selector is a mapping of labels."""
    labels = mapping(spec, "template", "metadata", "labels")
    selector = spec.get("selector") or labels
    if not selector:
        yield broken((), "has no selector; expected one, or labels in the template")
    elif any(labels.get(key) != value for key, value in selector.items()):
        yield broken(("selector",), "does not match the labels of the template")


def _check_job(spec: Object, show: Show) -> Iterator[SettingDiagnostic]:
    policy = mapping(spec, *_TEMPLATE).get("restartPolicy", "Always")
    path: KeyPath = (*_TEMPLATE, "restartPolicy")
    if policy == "Always":
        at = path if "restartPolicy" in mapping(spec, *_TEMPLATE) else _TEMPLATE
        yield broken(at, "needs restartPolicy: Never or OnFailure in a Job")
    elif spec.get("podFailurePolicy") and policy != "Never":
        yield broken(path, "needs to be Never, because podFailurePolicy is set")
    if spec.get("selector") is not None and not spec.get("manualSelector"):
        yield broken(("selector",), "is written by the server; remove it")
    if spec.get("manualSelector"):
        if spec.get("selector") is None:
            yield broken(("manualSelector",), "needs a selector with it")
        else:
            yield from _check_selector(spec, show)
    yield from _check_indexed(spec, show)
    yield from _check_failure_policy(spec, show)


def _check_indexed(spec: Object, show: Show) -> Iterator[SettingDiagnostic]:
    """Checks what only a Job with numbered Pods may have."""
    indexed = spec.get("completionMode") == "Indexed"
    for name in ("backoffLimitPerIndex", "maxFailedIndexes", "successPolicy"):
        if spec.get(name) is not None and not indexed:
            yield broken((name,), "needs completionMode: Indexed")
    if not indexed:
        return
    completions, most = spec.get("completions"), spec.get("maxFailedIndexes")
    parallelism = spec.get("parallelism", 0)
    if completions is None and spec.get("parallelism") is not None:
        yield broken(("completionMode",), "is Indexed, which needs completions")
        return
    # Without both, the server sets both to 1.
    completions = 1 if completions is None else completions
    yield from _check_succeeded_indexes(spec)
    if parallelism > 100_000:
        yield broken(("parallelism",), f"is {parallelism}; expected at most 100000")
    if most is not None and most > min(completions, 100_000):
        yield broken(("maxFailedIndexes",), f"is {most}; expected at most completions and 100000")
    is_large = completions > 100_000 and spec.get("backoffLimitPerIndex") is not None
    if is_large and (most is None or most > 10_000 or parallelism > 10_000):
        message = "above 100000 needs maxFailedIndexes and parallelism up to 10000"
        yield broken(("completions",), message)
    if most is not None and spec.get("backoffLimitPerIndex") is None:
        yield broken(("maxFailedIndexes",), "needs backoffLimitPerIndex with it")


def _check_failure_policy(spec: Object, show: Show) -> Iterator[SettingDiagnostic]:
    pod = mapping(spec, *_TEMPLATE)
    names = {c["name"] for kind in ("containers", "initContainers") for c in items(pod, kind)}
    for index, rule in enumerate(items(mapping(spec, "podFailurePolicy"), "rules")):
        at: KeyPath = ("podFailurePolicy", "rules", index)
        if rule["action"] == "FailIndex" and spec.get("backoffLimitPerIndex") is None:
            yield broken((*at, "action"), "is FailIndex, which needs backoffLimitPerIndex")
        codes = mapping(rule, "onExitCodes")
        container = codes.get("containerName")
        if container is not None and container not in names:
            here = (*at, "onExitCodes", "containerName")
            yield broken(here, f"is {show(here, container)}, which is not a container of the Pod")
    if spec.get("podFailurePolicy") and spec.get("podReplacementPolicy") not in (None, "Failed"):
        yield broken(("podReplacementPolicy",), "needs to be Failed beside podFailurePolicy")


def _check_exit_codes(codes: Object, show: Show) -> Iterator[SettingDiagnostic]:
    values = codes["values"]
    if not values:
        yield broken(("values",), "is empty; expected an exit code or more")
    if values != sorted({*values}):
        yield broken(("values",), "expected different numbers in ascending order")
    if codes["operator"] == "In" and 0 in values:
        yield broken(("values",), "has 0, which is not a failure")


def _check_success_policy(policy: Object, show: Show) -> Iterator[SettingDiagnostic]:
    if not items(policy, "rules"):
        yield broken((), "has no rules; expected one or more")
    for index, rule in enumerate(items(policy, "rules")):
        indexes, count = rule.get("succeededIndexes"), rule.get("succeededCount")
        if indexes is None and count is None:
            yield broken(("rules", index), "expected succeededCount or succeededIndexes")
        if indexes is not None and not re.fullmatch(_INDEXES, indexes):
            path: KeyPath = ("rules", index, "succeededIndexes")
            yield broken(path, f"is {show(path, indexes)}; expected indexes such as 0-2,5")
        if count is not None and count < 0:
            yield broken(("rules", index, "succeededCount"), f"is {count}; expected 0 or more")


def _check_succeeded_indexes(spec: Object) -> Iterator[SettingDiagnostic]:
    """Checks that the indexes of a success policy are those of the Job's Pods, in order."""
    completions = spec.get("completions", 1)
    for index, rule in enumerate(items(mapping(spec, "successPolicy"), "rules")):
        indexes = rule.get("succeededIndexes") or ""
        numbers = [int(n) for n in re.findall("[0-9]+", indexes)]
        at: KeyPath = ("successPolicy", "rules", index)
        if numbers != sorted({*numbers}) or (numbers and numbers[-1] >= completions):
            path = (*at, "succeededIndexes")
            yield broken(path, f"expected indexes below {completions}, in ascending order")
        most = _count_indexes(indexes) if "succeededIndexes" in rule else completions
        if (rule.get("succeededCount") or 0) > min(most, completions):
            yield broken((*at, "succeededCount"), f"expected at most {min(most, completions)}")


def _count_indexes(text: str) -> int:
    """Returns the number of indexes in a text such as 0-2,5."""
    ranges = re.findall("([0-9]+)(?:-([0-9]+))?", text)
    return sum(int(last or first) - int(first) + 1 for first, last in ranges)


def _check_cron_job(spec: Object, show: Show) -> Iterator[SettingDiagnostic]:
    job = mapping(spec, "jobTemplate", "spec")
    if job.get("selector") is not None:
        yield broken(("jobTemplate", "spec", "selector"), "is written by the server; remove it")
    if job.get("manualSelector"):
        yield broken(("jobTemplate", "spec", "manualSelector"), "cannot be true in a CronJob")
    if job.get("completionMode") == "Indexed" and job.get("completions") is None:
        path: KeyPath = ("jobTemplate", "spec", "completionMode")
        yield broken(path, "is Indexed, which needs completions")


def _check_failure_rule(rule: Object, show: Show) -> Iterator[SettingDiagnostic]:
    if not rule.get("onExitCodes") and not rule.get("onPodConditions"):
        yield broken((), "has no condition; expected onExitCodes or onPodConditions")


_LONG_RUNNING = (_check_selector, _check_restarts)
# Objects of which the schema does not require the spec.
_WITH_SPEC = (
    "CronJob", "DaemonSet", "Deployment", "HorizontalPodAutoscaler", "Ingress", "Job",
    "JobTemplateSpec", "PodTemplateSpec", "ReplicationController", "Service", "StatefulSet",
)  # fmt: skip
RULES: dict[str, Rule] = {
    **dict.fromkeys(_WITH_SPEC, needs("spec")),
    "CronJobSpec": every(needs("schedule"), _check_cron_job),
    "DaemonSetSpec": every(*_LONG_RUNNING, _check_daemon_set),
    "DeploymentSpec": every(*_LONG_RUNNING, _check_deployment),
    "JobSpec": _check_job,
    "PodFailurePolicyOnExitCodesRequirement": _check_exit_codes,
    "PodFailurePolicyRule": _check_failure_rule,
    "ReplicationControllerSpec": every(needs("template"), _check_controller, _check_restarts),
    "StatefulSetSpec": every(*_LONG_RUNNING, _check_stateful_set),
    "SuccessPolicy": _check_success_policy,
}
