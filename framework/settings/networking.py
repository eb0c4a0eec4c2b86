"""The network of a model: Service, Ingress and NetworkPolicy."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_network
from typing import Annotated, Literal

from pydantic import Field

from framework.core.diagnostics import Code, SettingDiagnostic
from framework.settings.base import Checked, Settings
from framework.settings.forms import Shorthand
from framework.settings.reserved import NAMESPACE_LABEL
from framework.settings.values import (
    AnnotationKey,
    AppProtocol,
    Cidr,
    DnsLabel,
    HostName,
    LabelKey,
    LabelValue,
    ObjectName,
    PortName,
    PortNumber,
    ShortName,
    UrlPath,
)


class ServicePort(Settings):
    """A port of a Service."""

    port: PortNumber | None = None
    """Port number of the Service. Default: `servicePort` of the target, or its number."""
    target_port: PortNumber | PortName | None = None
    """Name of a port of the model or of a sidecar, or a number. Default: the name of the entry."""
    protocol: Literal["TCP", "UDP", "SCTP"] | None = None
    """Transport protocol of a target that is a number. Default: TCP."""
    app_protocol: AppProtocol | None = None
    """Application protocol, for proxies. Default: that of the target."""
    node_port: PortNumber | None = None
    """Port number on every node, for a Service of type NodePort or LoadBalancer."""


class Service(Checked):
    """A Service of the model. It selects the Pods of both tracks."""

    enabled: bool = True
    """Create the Service."""
    name: DnsLabel | None = None
    """Name of the Service. Default: the name of the model; in `services`, `<model>-<key>`. A change
    creates the new Service before the old one is deleted."""
    labels: dict[LabelKey, LabelValue] = {}
    """Labels of the Service alone, beside `labels` of the model."""
    track: Literal["stable", "canary"] | None = None
    """Select the Pods of one track only. Default: the Pods of both."""
    ports: dict[ShortName, Annotated[ServicePort, Shorthand("port", PortNumber)]] | None = None
    """Ports of the Service by name: a mapping, or the number alone. The Service has these ports and
    no others. Default: the ports of the model, and those of sidecars that set `servicePort`."""
    type: Literal["ClusterIP", "NodePort", "LoadBalancer"] = "ClusterIP"
    """Type of the Service."""
    annotations: dict[AnnotationKey, str] = {}
    """Annotations of the Service."""
    headless: bool = False
    """Create a headless Service: its DNS name resolves to the Pods."""
    session_affinity: Literal["None", "ClientIP"] | None = None
    """`ClientIP` sends the requests of one client to the same Pod. Default: `None` (Kubernetes)."""
    external_traffic_policy: Literal["Cluster", "Local"] | None = None
    """`Local` preserves the IP address of the client. For NodePort and LoadBalancer."""
    load_balancer_class: LabelKey | None = None
    """Class of the load balancer. For LoadBalancer."""

    def find_diagnostics(self) -> Iterator[SettingDiagnostic]:
        """Reports settings that the type of the Service does not allow."""
        if self.headless and self.type != "ClusterIP":
            yield SettingDiagnostic(
                ("headless",), f"is allowed with type ClusterIP only, not {self.type}"
            )
        if self.external_traffic_policy and self.type == "ClusterIP":
            yield SettingDiagnostic(
                ("externalTrafficPolicy",), "is allowed with NodePort and LoadBalancer only"
            )
        if self.load_balancer_class and self.type != "LoadBalancer":
            yield SettingDiagnostic(
                ("loadBalancerClass",), f"is allowed with LoadBalancer only, not {self.type}"
            )


# What the API server refuses in a path that is compared with that of a request.
_UNCLEAN = ("//", "/./", "/../", "%2f", "%2F")
_UNCLEAN_ENDS = ("/.", "/..")


class Ingress(Checked):
    """An Ingress that sends requests to the Service."""

    host: HostName
    """Host name."""
    path: UrlPath = "/"
    """Path prefix."""
    path_type: Literal["Prefix", "Exact", "ImplementationSpecific"] = "Prefix"
    """Match of `path`: by whole elements, by the exact text, or as the controller decides."""
    class_name: ObjectName | None = None
    """Name of an IngressClass. Default: that of the cluster."""
    port: ShortName = "http"
    """Name of the port of the Service."""
    service: ShortName | None = None
    """Key of an entry of `services`. Default: the Service that `service` describes."""
    tls_secret: ObjectName | None = None
    """Name of the Secret with the certificate."""
    annotations: dict[AnnotationKey, str] = {}
    """Annotations of the Ingress."""

    def find_diagnostics(self) -> Iterator[SettingDiagnostic]:
        """Reports a path that no request can have, because clients shorten it."""
        if self.path_type == "ImplementationSpecific":
            return
        parts = [part for part in _UNCLEAN if part in self.path]
        parts += [end for end in _UNCLEAN_ENDS if self.path.endswith(end)]
        if parts:
            message = f'is "{self.path}"; expected a path without "{parts[0]}"'
            yield SettingDiagnostic(("path",), message, Code.BAD_VALUE)


class Peer(Checked):
    """Allowed peers of the Pods: other Pods, a range of IP addresses, or anyone."""

    anyone: bool = False
    """Everyone, inside and outside the cluster. Nothing else opens a rule for everyone."""
    namespace: DnsLabel | None = None
    """Name of the Namespace. Default: that of the model, unless `namespaceLabels` is set."""
    namespace_labels: dict[LabelKey, LabelValue] | None = None
    """Labels of the Namespaces; `{}` means every Namespace."""
    pods: dict[LabelKey, LabelValue] | None = None
    """Labels of the Pods; `{}` means every Pod of the Namespace. Default: every Pod."""
    cidr: Cidr | None = None
    """Range of IP addresses, instead of Pods."""
    excluded: Annotated[tuple[Cidr, ...], Field(alias="except", strict=False)] = ()
    """Ranges inside `cidr` that are not allowed."""
    ports: Annotated[tuple[PortNumber | PortName, ...], Field(strict=False, min_length=1)] = ()
    """Names or numbers of ports. A number means TCP; a name means the port of the model and its
    protocol. Default: all ports."""

    @property
    def selects_pods(self) -> bool:
        """True where the peers are Pods."""
        return any(part is not None for part in (self.namespace, self.namespace_labels, self.pods))

    def find_diagnostics(self) -> Iterator[SettingDiagnostic]:
        """Reports peers of several kinds or of none, and exceptions outside the range."""
        if self.selects_pods and self.cidr:
            yield SettingDiagnostic(
                ("cidr",),
                "cannot be combined with namespace, namespaceLabels or pods; make it a peer of its "
                "own",
            )
        named = [(key,) for key in ("namespace", "namespaceLabels", "pods", "cidr")]
        if self.anyone and (self.selects_pods or self.cidr):
            yield SettingDiagnostic(
                ("anyone",),
                "is true, and the peer also names namespace, namespaceLabels, pods or cidr; remove "
                "one of the two: null removes an inherited one",
                others=tuple(named),
            )
        if not (self.anyone or self.selects_pods or self.cidr):
            # In Kubernetes a rule without peers is open to everyone. Here that must be written,
            # since `pods: null` in an overlay would otherwise open the rule without a word.
            yield SettingDiagnostic(
                (),
                "names no peers; give namespace, namespaceLabels, pods or cidr, or anyone: true",
            )
        label = (self.namespace_labels or {}).get(NAMESPACE_LABEL)
        if self.namespace and label not in (None, self.namespace):
            yield SettingDiagnostic(
                ("namespace",),
                f"is {self.namespace}, and the label {NAMESPACE_LABEL} is {label}; expected the "
                "same name, or one of the two",
                others=(("namespaceLabels", NAMESPACE_LABEL),),
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
    """A NetworkPolicy for the Pods of both tracks. It allows only the connections that it names."""

    allow_from: dict[ShortName, Peer] | None = None
    """Peers that may connect to the Pods, each by a name of your choice; `{}` allows none.
    Default: all."""
    allow_to: dict[ShortName, Peer] | None = None
    """Peers that the Pods may connect to, each by a name of your choice; `{}` allows none.
    Default: all."""
    dns: bool = True
    """Allow DNS requests where `allowTo` is set."""

    def find_diagnostics(self) -> Iterator[SettingDiagnostic]:
        """Reports a policy without rules."""
        if self.allow_from is None and self.allow_to is None:
            yield SettingDiagnostic((), "has no rules; give allowFrom or allowTo")
