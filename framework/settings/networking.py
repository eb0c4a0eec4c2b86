"""How a model is reached, and what it may reach: Service, Ingress, network policy.

Kept apart from the Pods, which only have ports.
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_network
from typing import Annotated, Literal

from pydantic import Field

from framework.core.diagnostics import SettingDiagnostic
from framework.settings.base import Checked, DnsLabel, PortName, PortNumber, Settings
from framework.settings.names import (
    AnnotationKey,
    Cidr,
    HostName,
    LabelKey,
    LabelValue,
    ObjectName,
    ShortName,
    UrlPath,
)


class Service(Checked):
    """The Service in front of the stable and the canary Pods."""

    enabled: bool = True
    """Make one."""
    type: Literal["ClusterIP", "NodePort", "LoadBalancer"] = "ClusterIP"
    """How it is reached."""
    annotations: dict[AnnotationKey, str] = {}
    """Annotations."""
    headless: bool = False
    """Without an address of its own: its name leads to the Pods themselves."""
    session_affinity: Literal["None", "ClientIP"] | None = None
    """`ClientIP` sends one client to the same Pod again."""
    external_traffic_policy: Literal["Cluster", "Local"] | None = None
    """`Local` keeps the client's address; with NodePort and LoadBalancer."""
    load_balancer_class: LabelKey | None = None
    """Which load balancer; with LoadBalancer."""

    def find_diagnostics(self) -> Iterator[SettingDiagnostic]:
        """What another type takes."""
        if self.headless and self.type != "ClusterIP":
            yield SettingDiagnostic(
                ("headless",), f"goes with type ClusterIP alone, not {self.type}"
            )
        if self.external_traffic_policy and self.type == "ClusterIP":
            yield SettingDiagnostic(
                ("externalTrafficPolicy",), "goes with NodePort and LoadBalancer alone"
            )
        if self.load_balancer_class and self.type != "LoadBalancer":
            yield SettingDiagnostic(
                ("loadBalancerClass",), f"goes with LoadBalancer alone, not {self.type}"
            )


class Ingress(Settings):
    """An Ingress that leads to the Service."""

    host: HostName
    """Host name."""
    path: UrlPath = "/"
    """Path prefix."""
    path_type: Literal["Prefix", "Exact", "ImplementationSpecific"] = "Prefix"
    """How `path` is compared."""
    class_name: ObjectName | None = None
    """IngressClass; the cluster's default where it is not said."""
    port: PortName = "http"
    """The model's port it leads to."""
    tls_secret: ObjectName | None = None
    """Secret with the certificate."""
    annotations: dict[AnnotationKey, str] = {}
    """Annotations."""


class Peer(Checked):
    """Who may connect, or be connected to: Pods by their labels, or addresses."""

    namespace: DnsLabel | None = None
    """A Namespace by name; the model's own where neither this nor `namespaceLabels` is said."""
    namespace_labels: dict[LabelKey, LabelValue] = {}
    """Every Namespace with these labels."""
    pods: dict[LabelKey, LabelValue] = {}
    """Labels of the Pods; every Pod where none are said."""
    cidr: Cidr | None = None
    """A range of addresses instead."""
    excluded: Annotated[tuple[Cidr, ...], Field(alias="except", strict=False)] = ()
    """Parts of `cidr` left out."""
    ports: Annotated[tuple[PortNumber | PortName, ...], Field(strict=False)] = ()
    """Port names or numbers, over TCP unless the model's port of that name says otherwise; every
    port where none are said."""

    @property
    def selects_pods(self) -> bool:
        """True where Pods are told by labels."""
        return bool(self.namespace or self.namespace_labels or self.pods)

    def find_diagnostics(self) -> Iterator[SettingDiagnostic]:
        """Pods and addresses at once, or neither; exceptions that are none."""
        if self.selects_pods and self.cidr:
            yield SettingDiagnostic(
                ("cidr",), "cannot stand beside namespace or pods; make it a peer of its own"
            )
        if not self.selects_pods and not self.cidr and not self.ports:
            yield SettingDiagnostic(
                (), "allows nothing in particular; give namespace, pods, cidr or ports"
            )
        for index, part in enumerate(self.excluded):
            if self.cidr is None or not _is_within(part, self.cidr):
                yield SettingDiagnostic(
                    ("except", index), f"is {part}; expected a part of cidr, {self.cidr}"
                )


def _is_within(part: str, whole: str) -> bool:
    inner, outer = ip_network(part, strict=False), ip_network(whole, strict=False)
    return (
        inner.version == outer.version
        and inner != outer
        and inner.network_address in outer
        and inner.broadcast_address in outer
    )


class NetworkPolicy(Checked):
    """A NetworkPolicy of both tracks' Pods; what it does not name is refused."""

    allow_from: dict[ShortName, Peer] | None = None
    """Who may connect, each by a name of your choice: `{}` is nobody; anybody may where it is not
    said."""
    allow_to: dict[ShortName, Peer] | None = None
    """What the Pods may connect to: `{}` is nothing; anything where it is not said."""
    dns: bool = True
    """Let the Pods look names up where `allowTo` is said."""

    def find_diagnostics(self) -> Iterator[SettingDiagnostic]:
        """Nothing said."""
        if self.allow_from is None and self.allow_to is None:
            yield SettingDiagnostic((), "limits nothing; give allowFrom or allowTo")
