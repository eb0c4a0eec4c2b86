"""Annotations that the API server itself reads, and what it refuses in them.

All other annotations may have any text. The rules are those of `pkg/apis/*/validation` of
Kubernetes; the settings and the objects in the form of Kubernetes share them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
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
_INTEGER = re.compile("0|-?[0-9]+")


def find_ingress_errors(
    annotations: Annotations, class_name: str | None, field: str
) -> Iterator[Error]:
    """Yields a second name of the IngressClass; `field` is where the first one is written."""
    old = annotations.get(INGRESS_CLASS)
    if old is not None and class_name is not None and old != class_name:
        yield INGRESS_CLASS, f'is another class than {field}, "{class_name}"; remove one of them'


def find_service_errors(
    annotations: Annotations, type_: str, *, has_ranges: bool = False
) -> Iterator[Error]:
    """Yields what a Service of a type must not have; `has_ranges` if a field has the ranges."""
    ranges = annotations.get(_SOURCE_RANGES)
    if ranges is not None and not has_ranges:
        if type_ != "LoadBalancer":
            yield _SOURCE_RANGES, f"is allowed with type LoadBalancer only, not {type_}"
        elif ranges.strip() and not all(map(_is_range, ranges.split(","))):
            yield _SOURCE_RANGES, 'expected ranges such as "10.0.0.0/8", separated by commas'
    mode, hints = (annotations.get(name) for name in _TOPOLOGY)
    if mode is not None and hints is not None and mode != hints:
        yield _TOPOLOGY[0], f"differs from {_TOPOLOGY[1]}, its old name; remove that one"


def find_pod_errors(annotations: Annotations, has_node: bool = False) -> Iterator[Error]:
    """Yields values of a Pod's annotations that the server refuses."""
    for name, value in annotations.items():
        if name == _DELETION_COST and not _is_cost(value):
            yield name, "expected a whole number such as 100"
        elif name == _MIRROR and not has_node:
            yield name, "is set by the kubelet for its static Pods; remove it"
        elif name == _SECCOMP or name.startswith(_CONTAINER_SECCOMP):
            if not _SECCOMP_PROFILE.fullmatch(value):
                yield name, 'expected "runtime/default", "unconfined" or "localhost/<path>"'
        elif name.startswith(_APP_ARMOR) and not _APP_ARMOR_PROFILE.fullmatch(value):
            yield name, 'expected "runtime/default", "unconfined" or "localhost/<profile>"'


def find_unknown_containers(annotations: Annotations, names: set[str]) -> Iterator[Error]:
    """Yields AppArmor annotations of containers that the Pod does not have."""
    for name in annotations:
        if name.startswith(_APP_ARMOR) and name.removeprefix(_APP_ARMOR) not in names:
            yield name, f"names no container of the Pod; expected one of {', '.join(sorted(names))}"


def _is_cost(text: str) -> bool:
    starts = text == "0" or text[:1] == "-" or text[:1] in {*"123456789"}
    return starts and bool(_INTEGER.fullmatch(text)) and -(2**31) <= int(text) < 2**31


def _is_range(text: str) -> bool:
    try:
        ip_network(text.strip(), strict=False)
    except ValueError:
        return False
    return "/" in text
