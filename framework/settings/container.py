"""What the model's container, init containers and sidecars share: ports, resources, mounts.

Kept apart from the model's own settings because all containers of a Pod share them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator

from framework.core.diagnostics import SettingDiagnostic
from framework.settings.base import Checked, PortName, PortNumber, Quantity, Settings, Texts
from framework.settings.image import PullPolicy
from framework.settings.names import AbsolutePath, ImageReference, ResourceName
from framework.settings.probes import HttpGet, Lifecycle, Probes
from framework.settings.quantities import quantity_value
from framework.settings.security import ContainerSecurity
from framework.settings.variables import Env, EnvFrom
from framework.settings.volumes import Mounts

# What a node may promise more of than it has; of everything else, limits are requests.
_DIVISIBLE = frozenset({"cpu", "memory", "ephemeral-storage"})

TerminationMessagePolicy = Literal["File", "FallbackToLogsOnError"]


class Port(Settings):
    """A port the container listens on."""

    container_port: PortNumber
    """Port number inside the Pod."""
    protocol: Literal["TCP", "UDP", "SCTP"] = "TCP"
    """Transport protocol."""
    service_port: PortNumber | None = None
    """The Service's port; the container's own where it is not said."""
    app_protocol: str | None = None
    """What is spoken, for proxies: `kubernetes.io/h2c` for gRPC."""
    node_port: PortNumber | None = None
    """The port on every node, with a Service of type NodePort or LoadBalancer."""


def _port_from_number(value: Any) -> Any:
    return {"containerPort": value} if isinstance(value, int) else value


Ports = dict[
    PortName,
    Annotated[Port, BeforeValidator(_port_from_number, json_schema_input_type=PortNumber | Port)],
]


class Resources(Checked):
    """Requests and limits, by resource name: `cpu`, `memory`, `nvidia.com/gpu`, ..."""

    requests: dict[ResourceName, Quantity] = {}
    """What the scheduler sets aside."""
    limits: dict[ResourceName, Quantity] = {}
    """What the container may use at most; GPUs are given here."""

    def find_diagnostics(self) -> Iterator[SettingDiagnostic]:
        """Requests above limits, and devices that are shared or split."""
        for name, request in self.requests.items():
            limit = self.limits.get(name)
            if name not in _DIVISIBLE:
                yield from _find_device_diagnostics(name, request, limit)
            elif limit is not None and quantity_value(request) > quantity_value(limit):
                yield SettingDiagnostic(
                    ("requests", name), f"is {request}; expected at most its limit, {limit}"
                )
        for name, limit in self.limits.items():
            if "/" in name and quantity_value(limit).denominator != 1:
                yield SettingDiagnostic(("limits", name), f"is {limit}; expected whole devices")


def _find_device_diagnostics(
    name: str, request: str, limit: str | None
) -> Iterator[SettingDiagnostic]:
    if limit is None:
        yield SettingDiagnostic(
            ("requests", name), "has no limit; expected the same number in limits"
        )
    elif quantity_value(request) != quantity_value(limit):
        yield SettingDiagnostic(
            ("requests", name),
            f"is {request}; expected its limit, {limit}: devices are never shared",
        )


class Container(Checked):
    """An init container beside the model: runs to its end before the model starts."""

    image: ImageReference
    """Image reference with tag or digest."""
    pull_policy: PullPolicy | None = None
    """When the kubelet pulls; `IfNotPresent` for a fixed tag where it is not said."""
    command: Texts = ()
    """Replaces the image's entrypoint."""
    args: Texts = ()
    """Arguments."""
    working_dir: AbsolutePath | None = None
    """Folder it starts in; the image's own where it is not said."""
    env: Env = {}
    """Environment variables by name."""
    env_from: EnvFrom = {}
    """Whole Secrets or ConfigMaps as environment variables, by a name of your choice."""
    ports: Ports = {}
    """Ports by name."""
    resources: Resources = Resources.model_construct()
    """Requests and limits."""
    mounts: Mounts = {}
    """Path by the name of one of the model's volumes; or a mapping of path, readOnly, subPath."""
    security: ContainerSecurity = ContainerSecurity.model_construct()
    """Where its security context differs from the model's."""

    def find_diagnostics(self) -> Iterator[SettingDiagnostic]:
        """Ports and paths used twice."""
        yield from find_port_diagnostics(self.ports)
        yield from find_path_diagnostics(
            {("mounts", name): mount.path for name, mount in self.mounts.items()}
        )


class Sidecar(Container):
    """A container beside the model, started before it and stopped after it."""

    probes: Probes = Probes.model_construct()
    """Startup, readiness and liveness; the model waits for startup alone."""
    lifecycle: Lifecycle = Lifecycle.model_construct()
    """What runs right after its start, and before it is stopped."""

    def find_diagnostics(self) -> Iterator[SettingDiagnostic]:
        """As of any container, and probes of ports it has not."""
        yield from super().find_diagnostics()
        yield from find_asked_port_diagnostics(self.probes, self.lifecycle, self.ports)


def find_port_diagnostics(ports: Mapping[str, Port]) -> Iterator[SettingDiagnostic]:
    """Two ports of one number and protocol."""
    seen: dict[tuple[int, str], str] = {}
    for name, port in ports.items():
        first = seen.setdefault((port.container_port, port.protocol), name)
        if first != name:
            yield SettingDiagnostic(
                ("ports", name),
                f'is {port.protocol} {port.container_port}, as "{first}" is; expected another '
                "number or protocol",
                others=(("ports", first),),
            )


def find_path_diagnostics(paths: Mapping[tuple[str, ...], str]) -> Iterator[SettingDiagnostic]:
    """Two mounts at one path; `paths` by the setting that says each."""
    seen: dict[str, tuple[str, ...]] = {}
    for setting, path in paths.items():
        first = seen.setdefault(path.rstrip("/") or "/", setting)
        if first != setting:
            message = f"is {path}, where {'.'.join(first)} is mounted too; expected another path"
            yield SettingDiagnostic(setting, message, others=(first,))


def find_asked_port_diagnostics(
    probes: Probes, lifecycle: Lifecycle, ports: Mapping[str, Port]
) -> Iterator[SettingDiagnostic]:
    """Probes and hooks that ask a port by a name that no port has."""
    known = f"expected one of the ports: {', '.join(sorted(ports)) or 'none'}, or a number"
    for path, asked in _asked(probes, lifecycle):
        if isinstance(asked, str) and asked not in ports:
            yield SettingDiagnostic(path, f'is "{asked}"; {known}')


def _asked(probes: Probes, lifecycle: Lifecycle) -> Iterator[tuple[tuple[str, ...], str | int]]:
    for name in ("startup", "readiness", "liveness"):
        if probe := getattr(probes, name):
            for key, way in (("httpGet", probe.http_get), ("tcpSocket", probe.tcp_socket)):
                if way is not None:
                    yield ("probes", name, key, "port"), way.port
    for name, handler in (("postStart", lifecycle.post_start), ("preStop", lifecycle.pre_stop)):
        if handler and isinstance(handler.http_get, HttpGet):
            yield ("lifecycle", name, "httpGet", "port"), handler.http_get.port
