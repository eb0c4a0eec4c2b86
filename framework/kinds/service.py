"""Services: the stable addresses of a model's Pods."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from framework.core.kind_rules import KindRules
from framework.kinds.kind import NOT_AWAITED, SELECTOR, Kind, Manifest, TrackInput, without_empty
from framework.kinds.naming import NAME_LABEL, build_selector
from framework.settings.service_rules import list_ports, list_services

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
        selector = {NAME_LABEL: track.model}
        if service.track:
            selector = build_selector(track.model, service.track)
        ports = [
            without_empty(
                {
                    "name": port.name,
                    "port": port.number,
                    "targetPort": port.target,
                    "protocol": port.protocol,
                    "appProtocol": port.app_protocol,
                    "nodePort": port.node_port,
                }
            )
            for port in list_ports(track.settings, key)
        ]
        spec = {
            "type": service.type,
            "selector": selector,
            "ports": ports,
            "clusterIP": "None" if service.headless else None,
            "sessionAffinity": service.session_affinity,
            "externalTrafficPolicy": service.external_traffic_policy,
            "loadBalancerClass": service.load_balancer_class,
        }
        yield Manifest(
            f"{track.model}-{key}" if key else track.model,
            {
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": metadata,
                "spec": without_empty(spec),
            },
            part=key,
        )


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
