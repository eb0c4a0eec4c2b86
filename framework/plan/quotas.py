"""Computes what a rollout needs of the ResourceQuotas of its Namespace, at its peak and at its end.

Pure: the quotas, with what is used of them, are given as the API server returns them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from framework.core.changes import Problem, Severity
from framework.core.suggestions import list_names
from framework.plan.checks.facts import render_amount
from framework.plan.pod_needs import (
    PODS,
    Part,
    find_amount,
    find_written_amount,
    read_amount,
    resolve_pod_needs,
)
from framework.plan.rendered import mapping_in, mappings_in, meets, texts_in

# Resources of a quota that are named without `requests.`, beside `hugepages-<size>`.
_PLAIN = frozenset({"cpu", "memory", "ephemeral-storage"})
_QUALITY = ("cpu", "memory")
_MAX_SURGE = "spec.strategy.rollingUpdate.maxSurge"


@dataclass(frozen=True, eq=False)
class Rollout:
    """A change of one Deployment. `before` is the `spec` of its running Pods, None for none.

    `running` counts these Pods. The others are as in `Budget`; `rolls` is False where the Pod
    template stays, so that only the number of Pods changes.
    """

    component: str
    object: str
    pod: Mapping[str, Any]
    replicas: int
    surge: int
    unavailable: int
    before: Mapping[str, Any] | None = None
    running: int = 0
    rolls: bool = True

    def compute_growth(self, resource: str) -> tuple[int, int, int]:
        """Returns what the rollout adds to the use of a resource: at the end, at most, at least.

        The least is what its first step needs: one new Pod, after the old ones that may go before.
        With 4 running Pods of 1 core, new ones of 2, and a surge of 1:

            end    4 x 2                      8 - 4 = 4
            most   4 x 2 + 1 x 1 (last old)   9 - 4 = 5
            least  1 x 2                      2
        """
        new = count_needs(self.pod, resource)
        old = count_needs(self.before, resource) if self.before is not None else 0
        used, end = self.running * old, self.replicas * new
        if not self.running or not self.rolls:
            return end - used, end - used, min(end - used, new)
        peak = self.replicas + self.surge
        last = end + min(self.surge, self.running) * old
        first = used + max(0, peak - self.running) * new
        least = new - min(self.unavailable, self.running) * old
        return end - used, max(last, first, end) - used, least

    def describe_first(self) -> str:
        """Describes the first step: `the first new Pod of churn, when 1 old Pod is gone`."""
        gone = min(self.unavailable, self.running) if self.rolls else 0
        first = f"the first new Pod of {self.component}"
        pods = "1 old Pod is" if gone == 1 else f"{gone} old Pods are"
        return f"{first}, when {pods} gone" if gone else first

    def describe(self, resource: str) -> str:
        """Describes the Pods and what one needs: `churn 4 Pods and 1 of surge of 1.5`."""
        amount = _render(count_needs(self.pod, resource), resource)
        surge = f" and {self.surge} of surge" if self.running and self.rolls and self.surge else ""
        return f"{self.component} {self.replicas} Pods{surge} of {amount}"


def count_needs(pod: Mapping[str, Any], resource: str) -> int:
    """Returns what one Pod counts for a resource of a quota, such as `requests.cpu`, `pods`."""
    if resource in (PODS, "count/pods"):
        return 1000
    part, _, name = resource.partition(".")
    if part == "limits":
        return resolve_pod_needs(pod, [name], "limits")[name]
    name = name if part == "requests" else resource
    if part != "requests" and resource not in _PLAIN and not resource.startswith("hugepages-"):
        return 0
    return resolve_pod_needs(pod, [name])[name]


def find_quota_problems(
    quotas: Iterable[Mapping[str, Any]], rollouts: Sequence[Rollout], created: Mapping[str, int]
) -> Iterator[Problem]:
    """Yields a problem for each resource of a quota that the rollouts would exceed.

    `created` counts the new objects by their names in a quota, such as `services`. It is an error
    where the rollouts cannot end, or one of them cannot begin, else a warning: a rollout waits for
    the Pods of others.
    """
    for quota in quotas:
        covered = [rollout for rollout in rollouts if _is_covered(quota, rollout.pod)]
        status = mapping_in(quota, "status")
        for resource, hard in sorted(mapping_in(mapping_in(quota, "spec"), "hard").items()):
            allowed = read_amount(str(hard))
            used = read_amount(str(mapping_in(status, "used").get(resource, "0")))
            # With scopes, a quota counts Pods only.
            count = 0 if _list_scopes(quota) else created.get(resource, 0)
            yield from _check(quota, resource, (allowed, used), covered, count)


def find_missing_amounts(
    quotas: Iterable[Mapping[str, Any]], rollouts: Iterable[Rollout]
) -> Iterator[Problem]:
    """Yields an error for each rollout whose containers lack an amount that a quota limits.

    The server then refuses every Pod: with a quota on `limits.cpu`, each container must have a
    limit. `rollouts` have the defaults of the Namespace's LimitRanges (`add_defaults`).
    """
    quotas = list(quotas)
    for rollout in rollouts:
        # A quota refuses only new Pods, and this rollout creates none.
        if not rollout.rolls and rollout.replicas <= rollout.running:
            continue
        # The missing amounts of each container, and the paths of their fields.
        lacking: dict[str, dict[str, None]] = {}
        fields: dict[str, None] = {}
        names = set()
        for quota in quotas:
            if not _is_covered(quota, rollout.pod):
                continue
            metadata = quota["metadata"]
            for resource in mapping_in(mapping_in(quota, "spec"), "hard"):
                part, name = _split(resource)
                for path, container in _list_lacking(rollout.pod, part, name):
                    lacking.setdefault(container, {})[f"{part}.{name}"] = None
                    fields[path] = None
                    names.add(f"{metadata['namespace']}/{metadata['name']}")
        if lacking:
            parts = [f"container {name} has no {list_names([*lacking[name]])}" for name in lacking]
            amounts = dict.fromkeys(amount for found in lacking.values() for amount in found)
            yield Problem(
                component=rollout.component,
                object=rollout.object,
                message=f"ResourceQuota {list_names(sorted(names))}: {'; '.join(parts)}: the "
                "server refuses its Pods",
                fields=tuple(fields),
                next_step=f"set {list_names([*amounts])}, or add a LimitRange with defaults to the "
                "Namespace",
            )


def _split(resource: str) -> tuple[Part, str]:
    """Returns part and name of a quota's resource: `limits.cpu` and `cpu` (of the requests)."""
    part, _, name = resource.partition(".")
    return ("limits", name) if part == "limits" else ("requests", name or part)


def _list_lacking(pod: Mapping[str, Any], part: Part, resource: str) -> Iterator[tuple[str, str]]:
    """Yields the path of each missing field, and the container that lacks it.

    The server requires only cpu and memory of each container, and not if the Pod as a whole has
    the amount.
    """
    if resource not in _QUALITY or find_written_amount(pod, resource, part) is not None:
        return
    for kind in ("initContainers", "containers"):
        for container in mappings_in(pod, kind):
            if find_written_amount(container, resource, part) is None:
                name = str(container.get("name"))
                yield f"spec.template.spec.{kind}[{name}].resources.{part}", name


def add_defaults(
    pod: Mapping[str, Any], limit_ranges: Iterable[Mapping[str, Any]]
) -> Mapping[str, Any]:
    """Returns a Pod's spec with the amounts that LimitRanges give its containers.

    The LimitRanges are live, or planned: then without the amounts that the server derives.
    """
    defaults = []
    for limit_range in limit_ranges:
        for item in mappings_in(mapping_in(limit_range, "spec"), "limits"):
            if item.get("type") == "Container":
                # As the server stores it (SetDefaults_LimitRangeItem): the default limit is by
                # default `max`, and the default request the default limit, then `min`.
                limits = {**mapping_in(item, "max"), **mapping_in(item, "default")}
                requests = {**mapping_in(item, "min"), **limits}
                defaults.append((limits, {**requests, **mapping_in(item, "defaultRequest")}))

    def fill(container: Mapping[str, Any]) -> Mapping[str, Any]:
        resources = mapping_in(container, "resources")
        limits = mapping_in(resources, "limits")
        # The server copies limits to requests before it applies the defaults.
        requests = {**limits, **mapping_in(resources, "requests")}
        for default_limits, default_requests in defaults:
            limits = {**default_limits, **limits}
            requests = {**default_requests, **requests}
        return {**container, "resources": {**resources, "limits": limits, "requests": requests}}

    kinds = [kind for kind in ("initContainers", "containers") if kind in pod]
    filled = {kind: [fill(container) for container in mappings_in(pod, kind)] for kind in kinds}
    return {**pod, **filled} if defaults else pod


def _check(
    quota: Mapping[str, Any],
    resource: str,
    amounts: tuple[int, int],
    rollouts: Sequence[Rollout],
    created: int,
) -> Iterator[Problem]:
    allowed, used = amounts
    growth = {rollout: rollout.compute_growth(resource) for rollout in rollouts}
    growing = [rollout for rollout in rollouts if any(part > 0 for part in growth[rollout])]
    end = sum(growth[rollout][0] for rollout in rollouts) + created * 1000
    peak = sum(growth[rollout][1] for rollout in rollouts) + created * 1000
    # Not even the first new Pod fits, so the rollout never removes an old one.
    stuck = [r for r in growing if used + growth[r][2] > allowed]
    metadata = quota["metadata"]
    name = f"ResourceQuota {metadata['namespace']}/{metadata['name']}"

    def build(
        added: int, causes: Sequence[Rollout], rest: str, severity: Severity, first: str = ""
    ) -> Problem:
        parts = [rollout.describe(resource) for rollout in causes]
        parts += [f"{created} new"] if created else []
        parts = [first] if first else parts
        total = _render(used + added, resource)
        message = (
            f"{name}: {resource}: {_render(used, resource)} used, {_render(added, resource)} more "
            f"({list_names(parts)}) make {total}, and {_render(allowed, resource)} are "
            f"allowed: {rest}"
        )
        only = causes[0] if len(causes) == 1 else None
        surges = only is not None and added > growth[only][0]
        return Problem(
            component=only.component if only else "",
            object=only.object if only else name,
            message=message,
            severity=severity,
            fields=(_MAX_SURGE if surges else "spec.replicas",) if only else (),
            next_step="raise the quota, or lower the requests of the models",
        )

    if end > 0 and used + end > allowed:
        rest = "the rollout cannot end" if growing else "not all can be created"
        yield build(end, growing, rest, Severity.ERROR)
    elif stuck:
        for rollout in stuck:
            least, first = growth[rollout][2], rollout.describe_first()
            yield build(least, [rollout], "the rollout hangs", Severity.ERROR, first)
    elif peak > 0 and used + peak > allowed:
        rest = "at its peak the rollout waits until old Pods are gone"
        yield build(peak, growing, rest, Severity.WARNING)


def _render(amount: int, resource: str) -> str:
    return render_amount(amount, resource.removeprefix("requests.").removeprefix("limits."))


def _list_scopes(quota: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Returns the scopes of a quota as expressions of a scope selector."""
    spec = mapping_in(quota, "spec")
    named = [{"scopeName": name, "operator": "Exists"} for name in texts_in(spec, "scopes")]
    return [*named, *mappings_in(mapping_in(spec, "scopeSelector"), "matchExpressions")]


def _is_covered(quota: Mapping[str, Any], pod: Mapping[str, Any]) -> bool:
    """Returns True if a quota counts this Pod: the Pod must be in all of its scopes."""
    containers = [*mappings_in(pod, "initContainers"), *mappings_in(pod, "containers")]
    # Other resources, such as GPUs, do not count for the quality of service.
    has_requests = any(find_amount(c, resource) for c in containers for resource in _QUALITY)
    has_deadline = "activeDeadlineSeconds" in pod
    in_scope = {
        "Terminating": has_deadline,
        "NotTerminating": not has_deadline,
        "BestEffort": not has_requests,
        "NotBestEffort": has_requests,
        "CrossNamespacePodAffinity": "podAffinity" in mapping_in(pod, "affinity"),
    }
    priority = pod.get("priorityClassName") or None
    return all(
        meets(scope, priority)
        if scope.get("scopeName") == "PriorityClass"
        else in_scope.get(str(scope.get("scopeName")), True)
        for scope in _list_scopes(quota)
    )
