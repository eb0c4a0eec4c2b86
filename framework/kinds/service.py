"""Services: the stable addresses of a model's Pods."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from framework.core.kind_rules import KindRules
from framework.kinds.kind import NOT_AWAITED, SELECTOR, Kind, Manifest, TrackInput
from framework.kinds.naming import NAME_LABEL, build_selector
from framework.settings.service_rules import ExposedPort, list_ports, list_services

if TYPE_CHECKING:
    from framework.settings.networking import Service


def service_name(model: str, key: str, service: Service) -> str:
    """Returns the name of a Service; `key` is that in `services`, "" for `service`."""
    return service.name or (f"{model}-{key}" if key else model)


def build(track: TrackInput) -> Iterator[Manifest]:
    """Builds the Services of a model, which both tracks share.

    A Service selects the label that the tracks share, or the labels of one track. Both kinds of
    selector never change.
    """
    for key, service in list_services(track.settings).items():
        name = service_name(track.model, key, service)
        metadata = track.build_metadata({**service.annotations, **NOT_AWAITED}, name)
        metadata["labels"] = {**service.labels, **metadata["labels"]}
        yield Manifest(
            f"{track.model}-{key}" if key else track.model,
            {
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": metadata,
                "spec": _build_spec(track, key, service),
            },
            part=key,
        )


def _build_spec(track: TrackInput, key: str, service: Service) -> dict[str, Any]:
    options = {
        "clusterIP": "None" if service.headless else None,
        "sessionAffinity": service.session_affinity,
        "externalTrafficPolicy": service.external_traffic_policy,
        "loadBalancerClass": service.load_balancer_class,
    }
    shared = {NAME_LABEL: track.model}
    return {
        "type": service.type,
        "selector": build_selector(track.model, service.track) if service.track else shared,
        "ports": [_build_port(port) for port in list_ports(track.settings, key)],
        **{key: value for key, value in options.items() if value is not None},
    }


def _build_port(port: ExposedPort) -> dict[str, Any]:
    built: dict[str, Any] = {
        "name": port.name,
        "port": port.number,
        "targetPort": port.target,
        "protocol": port.protocol,
    }
    if port.app_protocol:
        built["appProtocol"] = port.app_protocol
    if port.node_port:
        built["nodePort"] = port.node_port
    return built


KIND = Kind(
    rules=KindRules(
        "",
        "Service",
        replaced_by=("spec.clusterIP",),
        kept_by_server=(("spec.clusterIP", "None"),),
        propagation="Background",
    ),
    build=build,
    enabled_by="set service.enabled: true",
    protected={"spec.selector": SELECTOR},
)
