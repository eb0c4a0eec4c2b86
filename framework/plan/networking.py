"""How a model is reached, and what it may reach: Service, Ingress, NetworkPolicy.

Kept apart from the objects that make and size its Pods.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from framework.plan.metadata import build_metadata
from framework.plan.names import NAME_LABEL
from framework.settings.container import Port
from framework.settings.model import Model
from framework.settings.networking import Ingress, NetworkPolicy, Peer, Service

# The provider would wait ten seconds for each Service's endpoints, and for ever for an Ingress
# without a controller; the Deployment's own wait already says whether Pods are ready.
_SKIP_AWAIT = {"pulumi.com/skipAwait": "true"}
_NAMESPACE_LABEL = "kubernetes.io/metadata.name"
_DNS_PORTS = [{"protocol": "UDP", "port": 53}, {"protocol": "TCP", "port": 53}]


def build_service(model: str, settings: Model, namespace: str) -> dict[str, Any]:
    """One Service over both tracks: it selects the label they share."""
    annotations = {**settings.service.annotations, **_SKIP_AWAIT}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": build_metadata(model, settings, namespace, annotations),
        "spec": {
            "type": settings.service.type,
            "selector": {NAME_LABEL: model},
            "ports": [_build_service_port(name, port) for name, port in settings.ports.items()],
            **_build_service_options(settings.service),
        },
    }


def _build_service_port(name: str, port: Port) -> dict[str, Any]:
    built: dict[str, Any] = {
        "name": name,
        "port": port.service_port or port.container_port,
        "targetPort": name,
        "protocol": port.protocol,
    }
    if port.app_protocol:
        built["appProtocol"] = port.app_protocol
    if port.node_port:
        built["nodePort"] = port.node_port
    return built


def _build_service_options(service: Service) -> dict[str, Any]:
    options = {
        "clusterIP": "None" if service.headless else None,
        "sessionAffinity": service.session_affinity,
        "externalTrafficPolicy": service.external_traffic_policy,
        "loadBalancerClass": service.load_balancer_class,
    }
    return {key: value for key, value in options.items() if value is not None}


def build_ingress(model: str, settings: Model, namespace: str, ingress: Ingress) -> dict[str, Any]:
    """The Ingress that leads to the Service."""
    backend = {"service": {"name": model, "port": {"name": ingress.port}}}
    path = {"path": ingress.path, "pathType": ingress.path_type, "backend": backend}
    spec: dict[str, Any] = {"rules": [{"host": ingress.host, "http": {"paths": [path]}}]}
    if ingress.class_name:
        spec["ingressClassName"] = ingress.class_name
    if ingress.tls_secret:
        spec["tls"] = [{"hosts": [ingress.host], "secretName": ingress.tls_secret}]
    annotations = {**ingress.annotations, **_SKIP_AWAIT}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": build_metadata(model, settings, namespace, annotations),
        "spec": spec,
    }


def build_network_policy(
    model: str, settings: Model, namespace: str, policy: NetworkPolicy
) -> dict[str, Any]:
    """One policy over both tracks; only the directions that are limited are in it."""
    spec: dict[str, Any] = {"podSelector": {"matchLabels": {NAME_LABEL: model}}}
    types, rules = [], {}
    if policy.allow_from is not None:
        types.append("Ingress")
        rules["ingress"] = _build_rules("from", policy.allow_from, settings.ports)
    if policy.allow_to is not None:
        types.append("Egress")
        lookups = [{"ports": _DNS_PORTS}] if policy.dns else []
        rules["egress"] = [*lookups, *_build_rules("to", policy.allow_to, {})]
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": build_metadata(model, settings, namespace, {}),
        "spec": {**spec, "policyTypes": types, **rules},
    }


def _build_rules(
    direction: str, peers: Mapping[str, Peer], ports: Mapping[str, Port]
) -> list[dict[str, Any]]:
    """A rule for each peer; `ports` are those whose protocol is known by name."""
    return [_build_rule(direction, peer, ports) for _, peer in sorted(peers.items())]


def _build_rule(direction: str, peer: Peer, ports: Mapping[str, Port]) -> dict[str, Any]:
    rule: dict[str, Any] = {}
    if peer.ports:
        rule["ports"] = [
            {"protocol": _protocol_of(port, ports), "port": port} for port in peer.ports
        ]
    if peer.cidr:
        parts = {"except": list(peer.excluded)} if peer.excluded else {}
        rule[direction] = [{"ipBlock": {"cidr": peer.cidr, **parts}}]
    elif peer.selects_pods:
        rule[direction] = [_build_selectors(peer)]
    return rule


def _protocol_of(port: int | str, ports: Mapping[str, Port]) -> str:
    return ports[port].protocol if isinstance(port, str) and port in ports else "TCP"


def _build_selectors(peer: Peer) -> dict[str, Any]:
    named = {_NAMESPACE_LABEL: peer.namespace} if peer.namespace else {}
    namespaces = {**peer.namespace_labels, **named}
    built: dict[str, Any] = {}
    if namespaces:
        built["namespaceSelector"] = {"matchLabels": namespaces}
    if peer.pods:
        built["podSelector"] = {"matchLabels": dict(peer.pods)}
    return built
