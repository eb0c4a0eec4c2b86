"""NetworkPolicy: the connections that a model's Pods accept and open."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from framework.core.kind_rules import KindRules
from framework.kinds.kind import SELECTOR, Kind, Manifest, TrackInput
from framework.kinds.naming import NAME_LABEL
from framework.settings.reserved import NAMESPACE_LABEL
from framework.settings.service_rules import name_container_ports

if TYPE_CHECKING:
    from framework.settings.networking import Peer

_DNS_PORTS = [{"protocol": "UDP", "port": 53}, {"protocol": "TCP", "port": 53}]


def build(track: TrackInput) -> Iterator[Manifest]:
    """Builds one policy for both tracks; it contains only the directions that are limited."""
    policy = track.settings.network_policy
    if policy is None:
        return
    types, rules = [], {}
    if policy.allow_from is not None:
        types.append("Ingress")
        ports = name_container_ports(track.settings)
        protocols = {name: port.protocol for name, port in ports.items()}
        rules["ingress"] = _build_rules("from", policy.allow_from, protocols)
    if policy.allow_to is not None:
        types.append("Egress")
        lookups = [{"ports": _DNS_PORTS}] if policy.dns else []
        # The ports of other Pods have names that this model does not know.
        rules["egress"] = [*lookups, *_build_rules("to", policy.allow_to, {})]
    yield Manifest(
        track.model,
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": track.build_metadata(),
            "spec": {
                "podSelector": {"matchLabels": {NAME_LABEL: track.model}},
                "policyTypes": types,
                **rules,
            },
        },
    )


def _build_rules(
    direction: str, peers: Mapping[str, Peer], protocols: Mapping[str, str]
) -> list[dict[str, Any]]:
    """Builds a rule for each peer; `protocols` has those of named ports."""
    rules = []
    for _, peer in sorted(peers.items()):
        rule: dict[str, Any] = {}
        if peer.ports:
            rule["ports"] = [
                {"protocol": protocols.get(str(port), "TCP"), "port": port} for port in peer.ports
            ]
        if peer.cidr:
            excluded = {"except": list(peer.excluded)} if peer.excluded else {}
            rule[direction] = [{"ipBlock": {"cidr": peer.cidr, **excluded}}]
        elif not peer.anyone:
            rule[direction] = [_build_selectors(peer)]
        rules.append(rule)
    return rules


def _build_selectors(peer: Peer) -> dict[str, Any]:
    """Builds the selectors of a peer; both are combined by "and".

    An empty selector selects everything, and a missing one means the Namespace of the policy or
    every Pod in it. `podSelector: {}` is written out for that Namespace, because a peer without
    selectors is not allowed.
    """
    selectors: dict[str, Any] = {}
    if peer.namespace is not None or peer.namespace_labels is not None:
        named = {NAMESPACE_LABEL: peer.namespace} if peer.namespace else {}
        selectors["namespaceSelector"] = _build_selector({**(peer.namespace_labels or {}), **named})
    if peer.pods is not None:
        selectors["podSelector"] = _build_selector(peer.pods)
    return selectors


def _build_selector(labels: Mapping[str, str]) -> dict[str, Any]:
    return {"matchLabels": dict(labels)} if labels else {}


KIND = Kind(
    rules=KindRules("networking.k8s.io", "NetworkPolicy", propagation="Background"),
    build=build,
    enabled_by="set networkPolicy",
    protected={"spec.podSelector": SELECTOR},
)
