"""Rules of the API server for amounts: of containers and Pods, limits and quotas of a Namespace."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

from framework.core.diagnostics import KeyPath, SettingDiagnostic
from framework.plan.patch.rules.base import Object, Rule, Show, amount, broken, items, mapping
from framework.plan.patch.rules.fields import LABEL_KEY
from framework.settings.amounts import find_unlikely
from framework.settings.container import Resources

_COMPUTE = ("cpu", "memory", "ephemeral-storage")
_COUNTED = (
    "configmaps", "persistentvolumeclaims", "pods", "replicationcontrollers", "resourcequotas",
    "secrets", "services", "services.loadbalancers", "services.nodeports",
)  # fmt: skip
_IN_QUOTAS = (
    *_COMPUTE, *_COUNTED, "requests.storage",
    *(f"{kind}.{name}" for kind in ("requests", "limits") for name in _COMPUTE),
)  # fmt: skip
_ALL = (*_IN_QUOTAS, "storage")


def _is_native(name: str) -> bool:
    return "/" not in name or "kubernetes.io/" in name


def _is_container_resource(name: str) -> bool:
    if "/" not in name:
        return name in _COMPUTE or _is_huge(name)
    return LABEL_KEY.accepts(name) and (
        _is_native(name)
        or (not name.startswith("requests.") and LABEL_KEY.accepts(f"requests.{name}"))
    )


def _is_huge(name: str) -> bool:
    return name.startswith("hugepages-")


def _is_resource(name: str) -> bool:
    return LABEL_KEY.accepts(name) and (
        "/" in name or name in _ALL or name.startswith(("hugepages-", "requests.hugepages-"))
    )


def _is_quota_resource(name: str) -> bool:
    return _is_resource(name) and name != "storage"


def _is_whole(name: str) -> bool:
    """Returns True for resources that are counted: devices, Pods, Services."""
    return name in _COUNTED or ("/" in name and not _is_native(name)
                                and not name.startswith("requests."))  # fmt: skip


def _find_amounts(
    value: Object, field: str, accepts: Callable[[str], bool], show: Show
) -> Iterator[SettingDiagnostic]:
    """Yields unknown resources, and amounts that a resource cannot have."""
    for name, quantity in mapping(value, field).items():
        path: KeyPath = (field, name)
        if not accepts(name):
            message = "is not a resource here; expected cpu, memory, or one like nvidia.com/gpu"
            yield broken(path, message, at_key=True)
        elif amount(quantity) < 0:
            yield broken(path, f"is {show(path, quantity)}; expected 0 or more")
        # The server computes in thousandths with 64 bits.
        elif _is_whole(name) and (amount(quantity) % 1 or amount(quantity) * 1000 >= 2**63):
            yield broken(path, f"is {show(path, quantity)}; expected a whole number")


def _check_resources(resources: Object, show: Show) -> Iterator[SettingDiagnostic]:
    """Checks the resources of a container, or of a Pod, as the setting `resources` is checked."""
    reported = set()
    for field in ("limits", "requests"):
        for problem in _find_amounts(resources, field, _is_container_resource, show):
            reported.add(problem.path)
            yield problem
    requests, limits = (
        {name: str(quantity) for name, quantity in mapping(resources, field).items()}
        for field in ("requests", "limits")
    )
    settings = Resources.model_construct(requests=requests, limits=limits)
    for problem in settings.find_diagnostics():
        if problem.path not in reported:
            yield problem


def _check_storage(resources: Object, show: Show) -> Iterator[SettingDiagnostic]:
    """Checks the size of a claim."""
    size = mapping(resources, "requests").get("storage")
    if size is not None and (message := find_unlikely("storage", str(size))):
        yield broken(("requests", "storage"), message)


def _check_pod_resources(pod: Object, show: Show) -> Iterator[SettingDiagnostic]:
    """Checks the resources of the Pod as a whole, which its containers must not exceed."""
    yield from _find_amounts(pod, "overhead", _is_container_resource, show)
    whole = mapping(pod, "resources")
    if whole.get("claims") is not None:
        yield broken(("resources", "claims"), "cannot be set for a Pod, only for containers")
    for field in ("limits", "requests"):
        for name, quantity in mapping(whole, field).items():
            path: KeyPath = ("resources", field, name)
            if name not in ("cpu", "memory") and not _is_huge(name):
                yield broken(
                    path, "is not a resource of a Pod; expected cpu or memory", at_key=True
                )
                continue
            parts = [
                _find_container_amount(container, field, name)
                for container in items(pod, "containers")
            ]
            too_large = field == "limits" and any(part > amount(quantity) for part in parts)
            if too_large or (field == "requests" and sum(parts) > amount(quantity)):
                yield broken(path, f"is {show(path, quantity)}, which the containers exceed")


def _find_container_amount(container: Object, field: str, name: str) -> Any:
    resources = mapping(container, "resources")
    # A request that is missing equals the limit.
    value = mapping(resources, field).get(name, mapping(resources, "limits").get(name, 0))
    return amount(value)


def _check_divisor(selector: Object, show: Show) -> Iterator[SettingDiagnostic]:
    divisor, resource = selector.get("divisor"), selector["resource"]
    if divisor is None or not amount(divisor):
        return
    units = ["1m", "1"] if resource.endswith(".cpu") else [
        "1", *(f"1{prefix}{i}" for prefix in "KMGTPE" for i in ("", "i")), "1k",
    ]  # fmt: skip
    if amount(divisor) not in [amount(unit) for unit in units]:
        message = f"is {show(('divisor',), divisor)}; expected 1 or a unit such as 1Mi"
        yield broken(("divisor",), message)


def _check_empty_dir(volume: Object, show: Show) -> Iterator[SettingDiagnostic]:
    limit, medium = volume.get("sizeLimit"), volume.get("medium") or ""
    if limit is not None and amount(limit) < 0:
        yield broken(("sizeLimit",), f"is {show(('sizeLimit',), limit)}; expected 0 or more")
    elif limit is not None and (message := find_unlikely("storage", str(limit))):
        yield broken(("sizeLimit",), message)
    if medium and medium != "Memory" and not medium.startswith("HugePages"):
        message = f"is {show(('medium',), medium)}; expected Memory or HugePages"
        yield broken(("medium",), message)


def _check_limits(limits: Object, show: Show) -> Iterator[SettingDiagnostic]:
    """Checks one item of a LimitRange."""
    kind = limits["type"]
    if not LABEL_KEY.accepts(kind) or (
        "/" not in kind and kind not in ("Container", "PersistentVolumeClaim", "Pod")
    ):
        message = f"is {show(('type',), kind)}; expected Container, Pod or PersistentVolumeClaim"
        yield broken(("type",), message)
        return
    accepts = _is_container_resource if kind in ("Container", "Pod") else _is_resource
    for field in _LIMITS:
        yield from _find_amounts(limits, field, accepts, show)
    if kind == "Pod":
        for field in ("default", "defaultRequest"):
            if mapping(limits, field):
                yield broken((field,), "cannot be set with type: Pod")
    if kind == "PersistentVolumeClaim" and not any(
        "storage" in mapping(limits, field) for field in ("min", "max")
    ):
        yield broken((), "has neither min.storage nor max.storage; expected one of them")
    yield from _check_order(limits, show)


_LIMITS = ("min", "defaultRequest", "default", "max", "maxLimitRequestRatio")


def _check_order(limits: Object, show: Show) -> Iterator[SettingDiagnostic]:
    """Checks min <= defaultRequest <= default <= max of each resource, and the ratio."""
    names = sorted({name for field in _LIMITS for name in mapping(limits, field)})
    for name in names:
        given = [(f, mapping(limits, f)[name]) for f in _LIMITS[:4] if name in mapping(limits, f)]
        for (lower, low), (upper, high) in pairwise(given):
            if amount(low) > amount(high):
                path: KeyPath = (lower, name)
                yield broken(path, f"is {show(path, low)}; expected at most {upper}, {high}")
        ratio = mapping(limits, "maxLimitRequestRatio").get(name)
        fewest, most = (mapping(limits, f).get(name) for f in ("min", "max"))
        here: KeyPath = ("maxLimitRequestRatio", name)
        if ratio is not None and amount(ratio) < 1:
            yield broken(here, f"is {show(here, ratio)}; expected 1 or more")
        elif None not in (ratio, fewest, most) and amount(ratio) * amount(fewest) > amount(most):
            yield broken(here, f"is {show(here, ratio)}; expected at most max / min")
        fixed = _is_huge(name) or not _is_native(name)
        request, limit = (mapping(limits, f).get(name) for f in ("defaultRequest", "default"))
        if fixed and None not in (request, limit) and amount(request) != amount(limit):
            yield broken(("defaultRequest", name), f"differs from default, {limit}")


def _check_limit_range(spec: Object, show: Show) -> Iterator[SettingDiagnostic]:
    seen = set()
    for index, limits in enumerate(spec["limits"]):
        if limits["type"] in seen:
            yield broken(
                ("limits", index, "type"), "appears twice; expected one item for each type"
            )
        seen.add(limits["type"])


# Scopes of a quota that match Pods without any further value.
_PLAIN_SCOPES = (
    "BestEffort", "CrossNamespacePodAffinity", "NotBestEffort", "NotTerminating", "Terminating",
)  # fmt: skip
_SCOPED_TO_PODS = (
    "pods", "cpu", "memory", "requests.cpu", "requests.memory", "limits.cpu", "limits.memory",
)  # fmt: skip
_SCOPED_TO_CLAIMS = ("persistentvolumeclaims", "requests.storage")


def _check_quota(spec: Object, show: Show) -> Iterator[SettingDiagnostic]:
    yield from _find_amounts(spec, "hard", _is_quota_resource, show)
    selectors = items(mapping(spec, "scopeSelector"), "matchExpressions")
    scopes = [*items(spec, "scopes"), *(item["scopeName"] for item in selectors)]
    field = "scopes" if spec.get("scopes") else "scopeSelector"
    for pair in ({"BestEffort", "NotBestEffort"}, {"Terminating", "NotTerminating"}):
        for group in (items(spec, "scopes"), [item["scopeName"] for item in selectors]):
            if pair <= {*group}:
                yield broken(
                    (field,), f"has {' and '.join(sorted(pair))}, which exclude each other"
                )
    for scope in scopes:
        for name in mapping(spec, "hard"):
            if _is_native(name) and not _fits_scope(name, scope):
                yield broken((field,), f"has {scope}, which cannot limit {name}")
    for index, item in enumerate(selectors):
        yield from _check_scope(item, ("scopeSelector", "matchExpressions", index))


def _fits_scope(name: str, scope: str) -> bool:
    if name not in _IN_QUOTAS and not name.startswith(("hugepages-", "requests.hugepages-")):
        return True
    if scope == "BestEffort":
        return name == "pods"
    if scope == "VolumeAttributesClass":
        return name in _SCOPED_TO_CLAIMS
    return name in _SCOPED_TO_PODS


def _check_scope(item: Object, at: KeyPath) -> Iterator[SettingDiagnostic]:
    operator, values = item["operator"], items(item, "values")
    if item["scopeName"] in _PLAIN_SCOPES and operator != "Exists":
        yield broken((*at, "operator"), f"expected Exists with {item['scopeName']}")
    if operator in ("In", "NotIn") and not values:
        yield broken(at, f"has no values; expected one or more with operator {operator}")
    if operator in ("Exists", "DoesNotExist") and values:
        yield broken((*at, "values"), f"is not allowed with operator {operator}; remove it")


RULES: dict[str, Rule] = {
    "EmptyDirVolumeSource": _check_empty_dir,
    "LimitRangeItem": _check_limits,
    "LimitRangeSpec": _check_limit_range,
    "PodSpec": _check_pod_resources,
    "ResourceFieldSelector": _check_divisor,
    "ResourceQuotaSpec": _check_quota,
    "ResourceRequirements": _check_resources,
    "VolumeResourceRequirements": _check_storage,
}
