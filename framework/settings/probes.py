"""Probes and lifecycle handlers: both make HTTP requests or run commands in a container."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from framework.core.diagnostics import SettingDiagnostic
from framework.settings.base import Checked, Settings, find_not_one, one_of
from framework.settings.forms import Shorthand
from framework.settings.values import Count, HeaderName, PortName, PortNumber, Positive


class HttpGet(Settings):
    """An HTTP GET request. A status from 200 to 399 is a success."""

    path: str = "/"
    """Path of the request."""
    port: PortNumber | PortName = "http"
    """Name or number of the port."""
    scheme: Literal["HTTP", "HTTPS"] = "HTTP"
    """HTTP or HTTPS."""
    http_headers: dict[HeaderName, str] = {}
    """Request headers."""
    host: str | None = None
    """Host to connect to. Default: the Pod's IP address."""


class TcpSocket(Settings):
    """A TCP connection. It is a success if it opens."""

    port: PortNumber | PortName
    """Name or number of the port."""


class Grpc(Settings):
    """A request of the gRPC health protocol."""

    port: PortNumber
    """Port number. Kubernetes accepts no port name here."""
    service: str = ""
    """Name of the service in the request."""


class Exec(Settings):
    """A command in the container. Exit code 0 is a success."""

    command: Annotated[tuple[str, ...], Field(strict=False, min_length=1)]
    """The command and its arguments; it does not run in a shell."""


_ACTIONS = ("http_get", "tcp_socket", "grpc", "exec")


class Probe(Settings):
    """One probe: exactly one of httpGet, tcpSocket, grpc and exec, and how often it runs. `false`
    in its place switches it off."""

    replaces = one_of("httpGet", "tcpSocket", "grpc", "exec")

    enabled: bool = True
    """Set to false for no such probe; `startup: false` is short for it."""
    http_get: HttpGet | None = None
    """An HTTP GET request."""
    tcp_socket: TcpSocket | None = None
    """A TCP connection."""
    grpc: Grpc | None = None
    """A request of the gRPC health protocol."""
    exec: Exec | None = None
    """A command in the container."""
    initial_delay_seconds: Count = 0
    """Seconds before the first try."""
    period_seconds: Positive = 10
    """Seconds between tries."""
    timeout_seconds: Positive = 2
    """Seconds after which a try has failed."""
    failure_threshold: Positive = 3
    """Failed tries in a row after which the probe has failed. For the startup probe of the model it
    is computed from `startupSeconds`, unless it is set."""
    success_threshold: Positive = 1
    """Successful tries in a row after which the probe succeeds again. More than 1 is allowed for
    readiness only."""
    termination_grace_period_seconds: Positive | None = None
    """Seconds that the container has to stop after the probe failed. Default: that of the Pod. Not
    for readiness."""

    @property
    def has_action(self) -> bool:
        """Returns True if the probe has an action, and not only a timing."""
        return any(getattr(self, name) is not None for name in _ACTIONS)


ProbeOrFalse = Annotated[Probe, Shorthand("enabled", Literal[False])]


def active(probe: Probe | None) -> Probe | None:
    """Returns the probe; None where it is switched off."""
    return probe if probe and probe.enabled else None


def startup_failures(startup_seconds: int, period_seconds: int) -> int:
    """Returns how often a startup probe may fail if the container has `startup_seconds`.

    The first try comes at second 0 at the earliest, so the last one must come at `startup_seconds`
    or later. For 90 seconds with a period of 20, five tries at 0, 20, 40, 60 and 80 would kill a
    container that is ready after 85 seconds; the sixth, at 100, finds it ready.
    """
    return -(-startup_seconds // period_seconds) + 1


def guaranteed_seconds(failures: int, period_seconds: int) -> int:
    """Returns the seconds from the first try to the last: the inverse of `startup_failures`.

    Kubernetes documents `failures * period` as the time that a container has. That is the longest
    it may get: the kubelet's timer is not aligned with the start of the container, so the first try
    may come at once.
    """
    return (failures - 1) * period_seconds


class Probes(Checked):
    """Startup, readiness and liveness probes."""

    startup: ProbeOrFalse | None = None
    """Until it succeeds, the other two probes do not run. It may take `startupSeconds`, or as long
    as its own `failureThreshold` allows. Default for the model: a copy of its readiness probe;
    `false` for none. If it has no action, as in `{failureThreshold: 60}`, it takes the action from
    the readiness probe, and everything else that it does not set."""
    readiness: ProbeOrFalse | None = None
    """While it fails, the Service sends no requests to the Pod."""
    liveness: ProbeOrFalse | None = None
    """When it fails, the container is restarted."""

    @property
    def own_startup(self) -> Probe | None:
        """The startup probe as written; one without an action takes the rest from `readiness`."""
        startup, readiness = active(self.startup), active(self.readiness)
        if startup is None or startup.has_action or readiness is None:
            return startup
        own = {name: getattr(startup, name) for name in startup.model_fields_set}
        return readiness.model_copy(update={"success_threshold": 1, **own})

    def find_diagnostics(self) -> Iterator[SettingDiagnostic]:
        """Reports probes without an action, and what Kubernetes allows for some of the three."""
        for name, probe in (
            ("startup", self.own_startup),
            ("readiness", active(self.readiness)),
            ("liveness", active(self.liveness)),
        ):
            if probe:
                yield from find_not_one(probe, *_ACTIONS, path=(name,))
        for name, probe in (("startup", self.startup), ("liveness", self.liveness)):
            if probe and probe.success_threshold != 1:
                yield SettingDiagnostic(
                    (name, "successThreshold"),
                    f"is {probe.success_threshold}; expected 1: more is allowed for readiness only",
                )
        if self.readiness and self.readiness.termination_grace_period_seconds:
            yield SettingDiagnostic(
                ("readiness", "terminationGracePeriodSeconds"),
                "has no effect: a failed readiness probe stops no container; remove it",
            )


class Handler(Checked):
    """A lifecycle handler: exactly one of exec, httpGet and sleepSeconds."""

    replaces = one_of("exec", "httpGet", "sleepSeconds")

    exec: Exec | None = None
    """A command in the container."""
    http_get: HttpGet | None = None
    """An HTTP GET request."""
    sleep_seconds: Positive | None = None
    """Seconds to wait. Needs no program in the image (Kubernetes 1.30 or newer)."""

    def find_diagnostics(self) -> Iterator[SettingDiagnostic]:
        """Reports several actions, or none."""
        yield from find_not_one(self, "exec", "http_get", "sleep_seconds")


class Lifecycle(Settings):
    """Handlers that run after a container starts and before it stops."""

    post_start: Handler | None = None
    """Runs beside the container's process. If it fails, the container is killed."""
    pre_stop: Handler | None = None
    """Runs before the container receives the stop signal. For the model, it replaces
    `preStopSeconds`."""
