"""Service: the stable address of a model's Pods."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from framework.core.kind_rules import KindRules
from framework.kinds.kind import SELECTOR, SKIP_AWAIT, Kind, Manifest, TrackInput
from framework.kinds.naming import NAME_LABEL

if TYPE_CHECKING:
    from framework.settings.container import Port


def build(track: TrackInput) -> Iterator[Manifest]:
    """Builds one Service for both tracks: its selector is the label that they share."""
    service = track.settings.service
    if not service.enabled:
        return
    options = {
        "clusterIP": "None" if service.headless else None,
        "sessionAffinity": service.session_affinity,
        "externalTrafficPolicy": service.external_traffic_policy,
        "loadBalancerClass": service.load_balancer_class,
    }
    yield Manifest(
        track.model,
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": track.build_metadata({**service.annotations, **SKIP_AWAIT}),
            "spec": {
                "type": service.type,
                "selector": {NAME_LABEL: track.model},
                "ports": [_build_port(name, port) for name, port in track.settings.ports.items()],
                **{key: value for key, value in options.items() if value is not None},
            },
        },
    )


def _build_port(name: str, port: Port) -> dict[str, Any]:
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


KIND = Kind(
    rules=KindRules("", "Service", replaced_by=("spec.clusterIP",), propagation="Background"),
    build=build,
    enabled_by="set service.enabled: true",
    protected={"spec.selector": SELECTOR},
)
