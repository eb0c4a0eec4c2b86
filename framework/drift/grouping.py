"""Groups findings by their cause, and ranks the groups by what they endanger.

Findings belong together if they have the same manager, the same kind of change, and times that
follow each other closely. For example, `kubectl set env deployment --all DEBUG=1` changes many
objects in a few seconds, and a report names it once:

    kubectl-set, 17:40:02   Deployment churn       containers[model].env[DEBUG]  added
    kubectl-set, 17:40:03   Deployment fraud       containers[model].env[DEBUG]  added
    kubectl-set, 17:41:10   Deployment fraud       spec.replicas                 changed

The first two are one group. The third is in a group of its own, together with all other findings of
`fraud` that no other object shares.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from framework.drift.custom_kinds import SIZING_KINDS, TRAFFIC_KINDS, WORKLOAD_KINDS
from framework.drift.report import Finding, FindingKind

# A command that changes a thousand objects takes minutes, but each object follows the one before it
# within seconds.
_GAP = timedelta(minutes=5)
_NUMBERED_ITEM = re.compile(r"\[\d+(?:/[A-Z]+)?\]")

_TRAFFIC_KINDS = TRAFFIC_KINDS | {
    "Service", "Ingress", "Gateway", "NetworkPolicy", "Endpoints", "EndpointSlice",
}  # fmt: skip
_WORKLOAD_KINDS = WORKLOAD_KINDS | {
    "Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "ReplicationController", "Pod",
}  # fmt: skip
_BUDGET_KINDS = SIZING_KINDS | {
    "HorizontalPodAutoscaler", "PodDisruptionBudget", "ResourceQuota", "LimitRange",
}  # fmt: skip
# Fields of a Deployment: those that decide whether Pods serve (_SERVING_PATH), and those that
# decide how many may be missing (_BUDGET_PATH).
_SERVING_PATH = re.compile(
    r"spec\.selector\b|spec\.template\.metadata\.labels\b"
    r"|spec\.template\.spec\.(?:initContainers|containers)\[[^\]]+\]"
    r"(?:$|\.(?:image|command|args|ports|readinessProbe|livenessProbe|startupProbe|lifecycle)\b)"
)
_BUDGET_PATH = re.compile(
    r"spec\.(?:replicas|strategy|minReadySeconds|progressDeadlineSeconds|paused)\b"
)
_LABEL_PATH = re.compile(r"(?:spec\.template\.)?metadata\.(?:labels|annotations)\b")


class Danger(StrEnum):
    """The damage that a finding can do, the worst first."""

    SERVING = "serving"
    """Requests may fail: traffic, selectors, readiness, images, objects that are gone."""
    BUDGET = "budget"
    """Fewer Pods than planned may be left: replicas, rollout budget, autoscaler, quota."""
    SETTING = "setting"
    """Any other setting of a Pod or an object."""
    LABEL = "label"
    """Labels and annotations, which select nothing."""

    def is_worse_than(self, other: Danger) -> bool:
        """Returns True if this danger comes before the other one."""
        return _RANKS[self] < _RANKS[other]


_RANKS = {danger: rank for rank, danger in enumerate(Danger)}


@dataclass(frozen=True)
class FindingGroup:
    """Findings with one cause, sorted by object and field.

    `change` is the change that they share, such as `env[DEBUG] added`; "" for a group of one
    object, whose findings may differ. `first` and `last` are the times of the first and last write
    in RFC 3339, "" if unknown.
    """

    findings: tuple[Finding, ...]
    danger: Danger
    change: str
    manager: str
    first: str
    last: str

    @property
    def objects(self) -> tuple[tuple[str, str], ...]:
        """The kind and the name of each object, once."""
        return tuple(dict.fromkeys((f.object_kind, f.object) for f in self.findings))

    @property
    def models(self) -> tuple[str, ...]:
        """The models, sorted."""
        return tuple(sorted({finding.model for finding in self.findings} - {""}))

    @property
    def is_shared(self) -> bool:
        """True if several objects have the same change."""
        return bool(self.change)


def group_findings(findings: Iterable[Finding]) -> tuple[FindingGroup, ...]:
    """Returns the groups, those that endanger most first; every finding is in one of them."""
    findings = tuple(findings)
    groups: list[FindingGroup] = []
    single: dict[tuple[str, str], list[Finding]] = defaultdict(list)
    for bucket in _split_by_cause(findings):
        if len({(f.type, f.object) for f in bucket}) > 1:
            words = {describe_change(finding) for finding in bucket}
            change = words.pop() if len(words) == 1 else _generalize(min(words))
            groups.append(_build_group(bucket, change))
        else:
            single[bucket[0].type, bucket[0].object] += bucket
    groups += (_build_group(bucket, "") for bucket in single.values())
    return tuple(sorted(groups, key=_sort_key))


def find_danger(finding: Finding) -> Danger:
    """Returns what one finding endangers, from the kind of the object and the field."""
    kind, path = finding.object_kind, finding.path
    if _LABEL_PATH.match(path) and not _SERVING_PATH.match(path):
        return Danger.LABEL
    if kind in _BUDGET_KINDS:
        return Danger.BUDGET
    if kind in _TRAFFIC_KINDS or kind == "Namespace":
        return Danger.SERVING
    if not path:
        # A foreign object with a model selects its Pods, or is selected by its Service. One that
        # touches several models names none.
        touches = bool(finding.model) or finding.touches_several
        touches_pods = finding.kind is FindingKind.FOREIGN and touches
        is_workload = finding.kind is not FindingKind.FOREIGN and kind in _WORKLOAD_KINDS
        return Danger.SERVING if touches_pods or is_workload else Danger.SETTING
    if kind in _WORKLOAD_KINDS:
        no_pods = path == "spec.replicas" and finding.live == 0
        if no_pods or _SERVING_PATH.match(path):
            return Danger.SERVING
        if _BUDGET_PATH.match(path):
            return Danger.BUDGET
    return Danger.SETTING


def describe_change(finding: Finding) -> str:
    """Returns the change of one finding in a few words: `env[DEBUG] added`, `missing`."""
    if finding.is_changed_pod:
        return "Pod changed by hand"
    if finding.kind is FindingKind.FOREIGN:
        # Two foreign objects of different kinds endanger different things.
        return f"foreign {finding.object_kind}"
    if not finding.path:
        return finding.kind.value
    if finding.kind is FindingKind.ADDED:
        return f"{finding.path} added"
    return f"{finding.path} {'removed' if finding.live is None else 'changed'}"


def _split_by_cause(findings: Sequence[Finding]) -> Iterator[list[Finding]]:
    """Yields findings with the same manager and change, split where the times have a gap."""
    buckets: dict[tuple[str, str, str], list[Finding]] = defaultdict(list)
    for finding in findings:
        change = _generalize(describe_change(finding))
        buckets[finding.manager, finding.kind, change].append(finding)
    for bucket in buckets.values():
        yield from _split_by_time(bucket)


def _split_by_time(findings: Iterable[Finding]) -> Iterator[list[Finding]]:
    unknown: list[Finding] = []
    timed: list[tuple[datetime, Finding]] = []
    for finding in findings:
        time = parse_time(finding.time)
        if time is None:
            unknown.append(finding)
        else:
            timed.append((time, finding))
    timed.sort(key=lambda pair: pair[0])
    window: list[Finding] = []
    previous: datetime | None = None
    for time, finding in timed:
        # The gap counts from the write before, not from the first one: see `_GAP`.
        if previous is not None and time - previous > _GAP:
            yield window
            window = []
        window.append(finding)
        previous = time
    yield from (part for part in (window, unknown) if part)


def parse_time(text: str) -> datetime | None:
    """Returns the time of a managedFields entry; None if it is unknown or not a time with zone."""
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        return None
    return time if time.tzinfo else None


def _generalize(change: str) -> str:
    # The port 8080 of one Service and the port 9000 of another are the same kind of field.
    return _NUMBERED_ITEM.sub("[...]", change)


def _build_group(findings: Iterable[Finding], change: str) -> FindingGroup:
    ordered = sorted(findings, key=lambda f: (f.object, f.type, f.path, f.kind.value, f.id))
    managers = {finding.manager for finding in ordered}
    times = sorted((time, f.time) for f in ordered if (time := parse_time(f.time)) is not None)
    return FindingGroup(
        tuple(ordered),
        danger=min((find_danger(f) for f in ordered), key=_RANKS.__getitem__),
        change=change,
        manager=managers.pop() if len(managers) == 1 else "",
        first=times[0][1] if times else "",
        last=times[-1][1] if times else "",
    )


def _sort_key(group: FindingGroup) -> tuple[int, int, str, str]:
    first = group.findings[0]
    # Within a danger, what touches most objects comes first.
    return _RANKS[group.danger], -len(group.objects), first.object, first.type + first.path
