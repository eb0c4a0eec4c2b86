"""Rules of the API server for Services, Ingresses and NetworkPolicies."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_network

from framework.core.diagnostics import KeyPath, SettingDiagnostic
from framework.plan.annotations import find_ingress_errors, find_service_errors
from framework.plan.patch.rules.base import (
    Object,
    Rule,
    Show,
    broken,
    every,
    excludes,
    items,
    mapping,
    needs,
    needs_one_of,
    unique,
)
from framework.plan.patch.rules.fields import OBJECT_NAME, ONE_OF

_EXTERNAL = ("LoadBalancer", "NodePort")
_FOR_LOAD_BALANCERS = (
    "allocateLoadBalancerNodePorts", "loadBalancerClass", "loadBalancerSourceRanges",
)  # fmt: skip


def _check_service(spec: Object, show: Show) -> Iterator[SettingDiagnostic]:
    kind = spec.get("type", "ClusterIP")
    for name in _FOR_LOAD_BALANCERS:
        if spec.get(name) not in (None, []) and kind != "LoadBalancer":
            yield broken((name,), "needs type: LoadBalancer")
    # The server also accepts the policy for a ClusterIP Service with external addresses.
    is_external = kind in _EXTERNAL or (kind == "ClusterIP" and items(spec, "externalIPs"))
    if spec.get("externalTrafficPolicy") and not is_external:
        yield broken(("externalTrafficPolicy",), "needs type: LoadBalancer or NodePort")
    local = kind == "LoadBalancer" and spec.get("externalTrafficPolicy") == "Local"
    if spec.get("healthCheckNodePort") and not local:
        message = "needs type: LoadBalancer and externalTrafficPolicy: Local"
        yield broken(("healthCheckNodePort",), message)
    affinity = spec.get("sessionAffinity", "None")
    if spec.get("sessionAffinityConfig") is not None and affinity != "ClientIP":
        yield broken(("sessionAffinityConfig",), "needs sessionAffinity: ClientIP")
    if kind == "ExternalName":
        yield from _check_external_name(spec, show)
    else:
        yield from _check_addresses(spec, kind, show)
    ports = items(spec, "ports")
    for index, port in enumerate(ports):
        if len(ports) > 1 and not port.get("name"):
            message = "has no name; expected one where there are several ports"
            yield broken(("ports", index), message)
        if port.get("nodePort") and kind == "ClusterIP":
            yield broken(("ports", index, "nodePort"), "needs type: NodePort or LoadBalancer")


def _check_service_annotations(service: Object, show: Show) -> Iterator[SettingDiagnostic]:
    spec = mapping(service, "spec")
    type_, ranges = spec.get("type", "ClusterIP"), items(spec, "loadBalancerSourceRanges")
    for name, message in find_service_errors(
        mapping(service, "metadata", "annotations"), type_, has_ranges=bool(ranges)
    ):
        yield broken(("metadata", "annotations", name), message, ("spec", "type"))


def _check_external_name(spec: Object, show: Show) -> Iterator[SettingDiagnostic]:
    for name in ("clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"):
        if spec.get(name) not in (None, "", []):
            yield broken((name,), "cannot be set with type: ExternalName")
    host = (spec.get("externalName") or "").removesuffix(".")
    if not host or not OBJECT_NAME.accepts(host):
        at: KeyPath = ("externalName",) if host else ("type",)
        yield broken(at, "needs a DNS name as externalName")


def _check_addresses(spec: Object, kind: str, show: Show) -> Iterator[SettingDiagnostic]:
    first, addresses = spec.get("clusterIP") or "", items(spec, "clusterIPs")
    if addresses and first and addresses[0] != first:
        yield broken(("clusterIPs",), f"differs from clusterIP, {show(('clusterIP',), first)}")
    if addresses and not first and "clusterIP" in spec:
        yield broken(("clusterIPs",), "needs clusterIP with it")
    headless = "None" in (first, *addresses)
    if headless and kind in _EXTERNAL:
        yield broken(("type",), f"is {kind}, which a Service with clusterIP: None cannot be")
    if headless and len(addresses) > 1:
        yield broken(("clusterIPs",), 'has an address beside "None"')
    if not items(spec, "ports") and not headless:
        yield broken(("ports",), ": no port is left; a Service needs one")
    families = items(spec, "ipFamilies")
    if len(families) == 2 and spec.get("ipFamilyPolicy", "SingleStack") == "SingleStack":
        yield broken(("ipFamilies",), "has two families; expected one, or another ipFamilyPolicy")


def _check_ingress_class(ingress: Object, show: Show) -> Iterator[SettingDiagnostic]:
    field: KeyPath = ("spec", "ingressClassName")
    for name, message in find_ingress_errors(
        mapping(ingress, "metadata", "annotations"),
        mapping(ingress, "spec").get("ingressClassName"),
        "spec.ingressClassName",
    ):
        yield broken(("metadata", "annotations", name), message, field)


def _check_ingress(spec: Object, show: Show) -> Iterator[SettingDiagnostic]:
    if not items(spec, "rules") and spec.get("defaultBackend") is None:
        yield broken((), "has neither rules nor defaultBackend; expected one of them")


def _check_route(route: Object, show: Show) -> Iterator[SettingDiagnostic]:
    path, kind = route.get("path") or "", route["pathType"]
    # Only with ImplementationSpecific may a path be left out.
    if not path.startswith("/") and (path or kind != "ImplementationSpecific"):
        at: KeyPath = ("path",) if "path" in route else ()
        yield broken(at, f"is {show(('path',), path)}; expected a path that begins with '/'"
                     if at else "has no path; expected one that begins with '/'")  # fmt: skip
    if kind in ("Exact", "Prefix"):
        for part in ("//", "/./", "/../", "%2f", "%2F"):
            if part in path:
                yield broken(("path",), f"is {show(('path',), path)}; expected one without {part}")
        for end in ("/..", "/."):
            if path.endswith(end):
                yield broken(
                    ("path",), f"is {show(('path',), path)}; expected another end than {end}"
                )


def _check_rule(rule: Object, show: Show) -> Iterator[SettingDiagnostic]:
    if rule.get("http") is not None and not items(rule["http"], "paths"):
        yield broken(("http",), "has no paths; expected one or more")


def _check_backend(backend: Object, show: Show) -> Iterator[SettingDiagnostic]:
    if mapping(backend, "resource").get("apiGroup") == "":
        # A claim may have an empty group as its source, an Ingress may not.
        message = "is empty; expected a group such as x.example.com, or no apiGroup"
        yield broken(("resource", "apiGroup"), message)
    port = mapping(backend, "service", "port")
    if backend.get("service") is not None and not port.get("name") and not port.get("number"):
        yield broken(("service",), "has no port; expected its name or number")


def _check_policy_port(port: Object, show: Show) -> Iterator[SettingDiagnostic]:
    first, last = port.get("port"), port.get("endPort")
    if last is None:
        return
    if not isinstance(first, int):
        yield broken(("endPort",), "needs a number as port")
    elif last < first:
        yield broken(("endPort",), f"is {last}; expected at least the port, {first}")


def _check_peer(peer: Object, show: Show) -> Iterator[SettingDiagnostic]:
    selectors = [n for n in ("podSelector", "namespaceSelector") if peer.get(n) is not None]
    if peer.get("ipBlock") is None and not selectors:
        yield broken((), "is empty; expected podSelector, namespaceSelector or ipBlock")
    if peer.get("ipBlock") is not None and selectors:
        yield broken(("ipBlock",), f"cannot be set together with {selectors[0]}")


def _check_block(block: Object, show: Show) -> Iterator[SettingDiagnostic]:
    whole = ip_network(block["cidr"], strict=False)
    for index, text in enumerate(items(block, "except")):
        # A block that is as large as the whole would leave no address.
        part = ip_network(text, strict=False)
        path: KeyPath = ("except", index)
        if (
            part.version != whole.version
            or part.prefixlen <= whole.prefixlen
            or part.network_address not in whole
        ):
            yield broken(path, f"is {show(path, text)}; expected a part of {block['cidr']}")


RULES: dict[str, Rule] = {
    "HTTPIngressPath": _check_route,
    "IPBlock": _check_block,
    "Ingress": _check_ingress_class,
    "IngressBackend": every(needs_one_of(*ONE_OF["IngressBackend"]), _check_backend),
    "IngressRule": _check_rule,
    "IngressServiceBackend": needs("name"),
    "IngressSpec": _check_ingress,
    "NetworkPolicyPeer": _check_peer,
    "NetworkPolicyPort": _check_policy_port,
    "Service": _check_service_annotations,
    "ServiceBackendPort": excludes("name", "number"),
    "ServiceSpec": every(
        _check_service, unique("ports", "name", "port", "; entries are merged by their number")
    ),
}
