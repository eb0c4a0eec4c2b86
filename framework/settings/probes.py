"""How a container is asked whether it is well, and what runs when it starts and stops.

Kept apart because probes and lifecycle hooks ask in the same ways, of the same ports.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field
from pydantic.alias_generators import to_camel

from framework.core.diagnostics import SettingDiagnostic
from framework.settings.base import Checked, Count, PortName, PortNumber, Positive, Settings
from framework.settings.names import HeaderName


class HttpGet(Settings):
    """An HTTP probe; 200 to 399 is healthy."""

    path: str = "/"
    """The path asked for."""
    port: PortNumber | PortName = "http"
    """Port, by name or number."""
    scheme: Literal["HTTP", "HTTPS"] = "HTTP"
    """HTTP or HTTPS."""
    http_headers: dict[HeaderName, str] = {}
    """Request headers."""
    host: str | None = None
    """Host to connect to; the Pod itself where it is not said."""


class TcpSocket(Settings):
    """A TCP probe; a connection is healthy."""

    port: PortNumber | PortName
    """Port, by name or number."""


class Grpc(Settings):
    """A gRPC probe, by the gRPC health protocol."""

    port: PortNumber
    """Port number; Kubernetes takes no name here."""
    service: str = ""
    """The service asked about."""


class Exec(Settings):
    """A command; exit code 0 is healthy."""

    command: Annotated[tuple[str, ...], Field(strict=False, min_length=1)]
    """The command and its arguments; no shell."""


class Probe(Checked):
    """One probe: exactly one of httpGet, tcpSocket, grpc and exec, and how often."""

    http_get: HttpGet | None = None
    """Ask over HTTP."""
    tcp_socket: TcpSocket | None = None
    """Open a TCP connection."""
    grpc: Grpc | None = None
    """Ask over gRPC."""
    exec: Exec | None = None
    """Run a command in the container."""
    initial_delay_seconds: Count = 0
    """Seconds before the first try."""
    period_seconds: Positive = 10
    """Seconds between tries."""
    timeout_seconds: Positive = 2
    """Seconds until a try has failed."""
    failure_threshold: Positive = 3
    """Failures in a row until the probe has failed. The model's startup probe's follows from
    `startupSeconds` instead."""
    success_threshold: Positive = 1
    """Successes in a row until the probe succeeds again; only readiness takes more than 1."""
    termination_grace_period_seconds: Positive | None = None
    """Seconds to the kill once it has failed, instead of the Pod's; not for readiness."""

    def find_diagnostics(self) -> Iterator[SettingDiagnostic]:
        """Not exactly one way of asking."""
        yield from _find_way_diagnostics(self, ("http_get", "tcp_socket", "grpc", "exec"))


class Probes(Checked):
    """When a container has started, takes traffic, and is alive."""

    startup: Probe | None = None
    """Until it succeeds the other two wait; `startupSeconds` is its budget."""
    readiness: Probe | None = None
    """While it fails the Service sends nothing."""
    liveness: Probe | None = None
    """When it fails the container is started again."""

    def find_diagnostics(self) -> Iterator[SettingDiagnostic]:
        """What only some of the three take."""
        for name, probe in (("startup", self.startup), ("liveness", self.liveness)):
            if probe and probe.success_threshold != 1:
                yield SettingDiagnostic(
                    (name, "successThreshold"),
                    f"is {probe.success_threshold}; expected 1: only readiness takes more",
                )
        if self.readiness and self.readiness.termination_grace_period_seconds:
            yield SettingDiagnostic(
                ("readiness", "terminationGracePeriodSeconds"),
                "has no meaning: a failed readiness probe ends nothing; remove it",
            )


class Handler(Checked):
    """What runs at one end of a container's life: exactly one of exec, httpGet, sleepSeconds."""

    exec: Exec | None = None
    """Run a command in the container."""
    http_get: HttpGet | None = None
    """Ask over HTTP."""
    sleep_seconds: Positive | None = None
    """Wait so many seconds, without any program in the image (Kubernetes 1.30 or newer)."""

    def find_diagnostics(self) -> Iterator[SettingDiagnostic]:
        """Not exactly one thing to do."""
        yield from _find_way_diagnostics(self, ("exec", "http_get", "sleep_seconds"))


def _find_way_diagnostics(settings: Settings, ways: tuple[str, ...]) -> Iterator[SettingDiagnostic]:
    """Not exactly one of these."""
    given = [(to_camel(way),) for way in ways if getattr(settings, way) is not None]
    if len(given) != 1:
        *first, last = map(to_camel, ways)
        message = f"has {len(given)} of {', '.join(first)} and {last}; expected exactly one"
        yield SettingDiagnostic((), message, others=tuple(given))


class Lifecycle(Settings):
    """What runs right after a container started, and before it is stopped."""

    post_start: Handler | None = None
    """Runs beside the container's own process; the container is killed where it fails."""
    pre_stop: Handler | None = None
    """Runs before the container is told to stop; of the model, instead of `preStopSeconds`."""
