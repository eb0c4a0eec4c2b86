"""The custom resources that size Pods, or route or limit their traffic.

This is the only table of them: the check lists these kinds, and how an object touches Pods also
decides what it endangers.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Touch(Enum):
    """The ways in which an object touches Pods."""

    SIZES = "sizes"
    """It names a workload, and sizes or scales it."""
    RUNS = "runs"
    """It is a workload itself, or runs further Pods of a workload that it names. All others change
    traffic."""
    SELECTS = "selects"
    """It selects Pods by a label selector of Kubernetes."""
    SELECTS_FOR_MESH = "selectsForMesh"
    """It selects Pods by plain labels, names what it is for, or is for its whole Namespace."""
    ROUTES_TO_BACKENDS = "routesToBackends"
    """A route of Gateway API. One with a Service as parent takes its traffic."""
    ROUTES_TO_HOSTS = "routesToHosts"
    """It names Services by their host names."""


@dataclass(frozen=True)
class CustomKind:
    """A kind of custom resource. `field` names or selects what it touches."""

    name: str
    group: str
    touch: Touch
    field: str = ""
    verb: str = ""
    """Says what it does to a workload that it names."""


_GATEWAY, _ISTIO = "gateway.networking.k8s.io", "networking.istio.io"
_ISTIO_SECURITY = "security.istio.io"
CUSTOM_KINDS = (
    CustomKind(
        "VerticalPodAutoscaler",
        "autoscaling.k8s.io",
        Touch.SIZES,
        "targetRef",
        "sets the resources of",
    ),
    CustomKind("ScaledObject", "keda.sh", Touch.SIZES, "scaleTargetRef", "scales"),
    CustomKind("Rollout", "argoproj.io", Touch.RUNS, "workloadRef", "runs further Pods of"),
    CustomKind("HTTPRoute", _GATEWAY, Touch.ROUTES_TO_BACKENDS),
    CustomKind("GRPCRoute", _GATEWAY, Touch.ROUTES_TO_BACKENDS),
    CustomKind("TCPRoute", _GATEWAY, Touch.ROUTES_TO_BACKENDS),
    CustomKind("TLSRoute", _GATEWAY, Touch.ROUTES_TO_BACKENDS),
    CustomKind("VirtualService", _ISTIO, Touch.ROUTES_TO_HOSTS),
    CustomKind("DestinationRule", _ISTIO, Touch.ROUTES_TO_HOSTS),
    CustomKind("EnvoyFilter", _ISTIO, Touch.SELECTS_FOR_MESH, "workloadSelector.labels"),
    CustomKind("Sidecar", _ISTIO, Touch.SELECTS_FOR_MESH, "workloadSelector.labels"),
    CustomKind(
        "AuthorizationPolicy", _ISTIO_SECURITY, Touch.SELECTS_FOR_MESH, "selector.matchLabels"
    ),
    CustomKind(
        "PeerAuthentication", _ISTIO_SECURITY, Touch.SELECTS_FOR_MESH, "selector.matchLabels"
    ),
    CustomKind(
        "RequestAuthentication", _ISTIO_SECURITY, Touch.SELECTS_FOR_MESH, "selector.matchLabels"
    ),
    CustomKind("CiliumNetworkPolicy", "cilium.io", Touch.SELECTS, "endpointSelector"),
)
"""They are listed where the cluster has them."""


def list_custom_kinds(*touches: Touch) -> tuple[CustomKind, ...]:
    """Returns the kinds that touch Pods in one of these ways."""
    return tuple(kind for kind in CUSTOM_KINDS if kind.touch in touches)


SIZING_KINDS = frozenset(kind.name for kind in list_custom_kinds(Touch.SIZES))
WORKLOAD_KINDS = frozenset(kind.name for kind in list_custom_kinds(Touch.RUNS))
TRAFFIC_KINDS = frozenset(kind.name for kind in CUSTOM_KINDS) - SIZING_KINDS - WORKLOAD_KINDS
