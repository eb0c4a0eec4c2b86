"""Annotations that the API server itself reads, and what it refuses in them.

All other annotations may have any text. The rules are those of `pkg/apis/*/validation` of
Kubernetes. They compare an annotation with other fields of its object, which a patch may set, so
they are for the finished object.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from ipaddress import ip_network

# An annotation, and what is wrong with its value.
Error = tuple[str, str]
Annotations = Mapping[str, str]

INGRESS_CLASS = "kubernetes.io/ingress.class"
_SOURCE_RANGES = "service.beta.kubernetes.io/load-balancer-source-ranges"
_TOPOLOGY = ("service.kubernetes.io/topology-mode", "service.kubernetes.io/topology-aware-hints")
_DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"
_MIRROR = "kubernetes.io/config.mirror"
_SECCOMP = "seccomp.security.alpha.kubernetes.io/pod"
_CONTAINER_SECCOMP = "container.seccomp.security.alpha.kubernetes.io/"
_APP_ARMOR = "container.apparmor.security.beta.kubernetes.io/"
_SECCOMP_PROFILE = re.compile(
    r"runtime/default|docker/default|unconfined|localhost/(?!/)(?!(.*/)?\.\.(/|$)).+"
)
_APP_ARMOR_PROFILE = re.compile("(runtime/default|unconfined|localhost/.*)?")
# The value is the name of the container that `kubectl logs` and `kubectl exec` use.
_DEFAULT_CONTAINER = "kubectl.kubernetes.io/default-container"
_EXPECTED_PROFILE = 'expected "runtime/default", "unconfined"'
_COST = re.compile("0|-[0-9]+|[1-9][0-9]*")


def find_ingress_errors(
    annotations: Annotations, class_name: str | None, field: str
) -> Iterator[Error]:
    """Yields the old annotation of the class, if `field`, which has the class as well, differs."""
    old = annotations.get(INGRESS_CLASS)
    if old is not None and class_name is not None and old != class_name:
        message = f'names another class than {field} ("{class_name}"); remove one of them'
        yield INGRESS_CLASS, message


def find_service_errors(
    annotations: Annotations, type_: str, *, has_ranges: bool = False
) -> Iterator[Error]:
    """Yields the annotations that the server refuses for a Service of this type.

    `has_ranges` is True if `loadBalancerSourceRanges` is set; the server then ignores the
    annotation.
    """
    ranges = annotations.get(_SOURCE_RANGES)
    if ranges is not None and not has_ranges:
        if type_ != "LoadBalancer":
            yield _SOURCE_RANGES, f"is allowed with type LoadBalancer only, not {type_}"
        elif ranges.strip() and not all(map(_is_range, ranges.split(","))):
            message = "has a part that is not an IP range; expected ranges such as "
            yield _SOURCE_RANGES, f'{message}"10.0.0.0/8", separated by commas'
    mode, hints = (annotations.get(name) for name in _TOPOLOGY)
    if mode is not None and hints is not None and mode != hints:
        yield _TOPOLOGY[0], f"differs from {_TOPOLOGY[1]}, its old name; remove that one"


def find_pod_errors(
    annotations: Annotations, containers: Collection[str], *, has_node: bool = False
) -> Iterator[Error]:
    """Yields the annotations of a Pod that the server refuses, each with the reason.

    `containers` are the names of its containers. `has_node` is True if `nodeName` is set.
    """
    for name, value in annotations.items():
        if name == _DELETION_COST:
            if not _COST.fullmatch(value) or not -(2**31) <= int(value) < 2**31:
                yield name, "is not a whole number of 32 bits; expected one such as 100"
        elif name == _MIRROR and not has_node:
            yield name, "is set by the kubelet for its static Pods; remove it"
        elif name == _SECCOMP or name.startswith(_CONTAINER_SECCOMP):
            if not _SECCOMP_PROFILE.fullmatch(value):
                yield name, f'is not a seccomp profile; {_EXPECTED_PROFILE} or "localhost/<path>"'
        elif name.startswith(_APP_ARMOR):
            if not _APP_ARMOR_PROFILE.fullmatch(value):
                message = (
                    f'is not an AppArmor profile; {_EXPECTED_PROFILE} or "localhost/<profile>"'
                )
                yield name, message
            if name.removeprefix(_APP_ARMOR) not in containers:
                known = ", ".join(sorted(containers))
                yield name, f"names no container of the Pod; expected one of {known}"


def rename_containers(annotations: Annotations, names: Mapping[str, str]) -> dict[str, str]:
    """Returns the annotations of a Pod with new names of containers; `names` maps old to new."""
    renamed = {}
    for name, value in annotations.items():
        if name == _DEFAULT_CONTAINER:
            value = names.get(value, value)
        for prefix in (_CONTAINER_SECCOMP, _APP_ARMOR):
            if name.startswith(prefix):
                container = name.removeprefix(prefix)
                name = prefix + names.get(container, container)
        renamed[name] = value
    return renamed


def _is_range(text: str) -> bool:
    try:
        ip_network(text.strip(), strict=False)
    except ValueError:
        return False
    return "/" in text
