"""The settings of one container and of what it mounts: image, environment, ports, probes, volumes.

Kept apart from the model's own settings because init containers and sidecars share them.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Discriminator, Field, Tag, model_validator

from framework.schema.base import (
    Count,
    EnvText,
    PortName,
    PortNumber,
    Positive,
    Quantity,
    Settings,
    Texts,
)

PullPolicy = Literal["Always", "IfNotPresent", "Never"]


class Image(Settings):
    """Where a container's image comes from."""

    repository: str = Field(min_length=1)
    """Registry and repository, without tag: `docker.io/seldonio/mlserver`."""
    tag: str | None = Field(default=None, min_length=1)
    """Tag; quote it where YAML would read a number."""
    digest: str | None = Field(default=None, pattern=r"^sha256:[0-9a-f]{64}$")
    """Digest, `sha256:` and 64 hex digits; wins over the tag."""
    pull_policy: PullPolicy = "IfNotPresent"
    """When the kubelet pulls."""
    pull_secrets: Texts = ()
    """Names of Secrets of type kubernetes.io/dockerconfigjson."""

    @model_validator(mode="after")
    def _needs_a_version(self) -> Self:
        if not self.tag and not self.digest:
            raise ValueError("has neither tag nor digest; give one")
        return self

    @property
    def reference(self) -> str:
        """The image as Kubernetes takes it: `repository:tag` or `repository:tag@digest`."""
        tag = f":{self.tag}" if self.tag else ""
        return f"{self.repository}{tag}" + (f"@{self.digest}" if self.digest else "")


class SecretValue(Settings):
    """An environment variable read from a Secret."""

    secret: str
    """The Secret's name."""
    key: str
    """The key in it."""
    optional: bool = False
    """Start without it where it does not exist."""


class ConfigMapValue(Settings):
    """An environment variable read from a ConfigMap."""

    config_map: str
    """The ConfigMap's name."""
    key: str
    """The key in it."""
    optional: bool = False
    """Start without it where it does not exist."""


class FieldValue(Settings):
    """An environment variable read from the Pod itself."""

    field: str
    """A Pod field: `status.podIP`, `metadata.labels['x']`."""


class ResourceValue(Settings):
    """An environment variable read from the container's own requests or limits."""

    resource: str
    """`limits.memory`, `requests.cpu`, ..."""


def _env_kind(value: Any) -> str:
    if not isinstance(value, dict | Settings):
        return "text"
    keys = value if isinstance(value, dict) else type(value).model_fields
    for key, kind in (("configMap", "configMap"), ("field", "field"), ("resource", "resource")):
        if key in keys:
            return kind
    return "secret"


EnvValue = Annotated[
    Annotated[EnvText, Tag("text")]
    | Annotated[SecretValue, Tag("secret")]
    | Annotated[ConfigMapValue, Tag("configMap")]
    | Annotated[FieldValue, Tag("field")]
    | Annotated[ResourceValue, Tag("resource")],
    Discriminator(_env_kind),
]


class EnvSource(Settings):
    """A Secret or ConfigMap whose every key becomes an environment variable."""

    secret: str | None = None
    """The Secret's name; this or `configMap`."""
    config_map: str | None = None
    """The ConfigMap's name; this or `secret`."""
    prefix: str = ""
    """Put before every key."""

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if (self.secret is None) == (self.config_map is None):
            raise ValueError("give either secret or configMap")
        return self


class Port(Settings):
    """A port the container listens on."""

    container_port: PortNumber
    """Port number inside the Pod."""
    protocol: Literal["TCP", "UDP", "SCTP"] = "TCP"
    """Transport protocol."""
    service_port: PortNumber | None = None
    """The Service's port; the container's own where it is not said."""


def _port_from_number(value: Any) -> Any:
    return {"containerPort": value} if isinstance(value, int) else value


Ports = dict[PortName, Annotated[Port, BeforeValidator(_port_from_number)]]


class Resources(Settings):
    """Requests and limits, by resource name: `cpu`, `memory`, `nvidia.com/gpu`, ..."""

    requests: dict[str, Quantity] = {}
    """What the scheduler sets aside."""
    limits: dict[str, Quantity] = {}
    """What the container may use at most; GPUs are given here."""


class HttpGet(Settings):
    """An HTTP probe; 200 to 399 is healthy."""

    path: str = "/"
    """The path asked for."""
    port: PortNumber | PortName = "http"
    """Port, by name or number."""
    scheme: Literal["HTTP", "HTTPS"] = "HTTP"
    """HTTP or HTTPS."""
    http_headers: dict[str, str] = {}
    """Request headers."""


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
    """A command probe; exit code 0 is healthy."""

    command: Texts
    """The command and its arguments; no shell."""


class Probe(Settings):
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
    """Failures in a row until the probe has failed. The startup probe's follows from
    `startupSeconds` instead."""
    success_threshold: Positive = 1
    """Successes in a row until the probe succeeds again; only readiness takes more than 1."""

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        ways = (self.http_get, self.tcp_socket, self.grpc, self.exec)
        if sum(way is not None for way in ways) != 1:
            raise ValueError("give exactly one of httpGet, tcpSocket, grpc, exec")
        return self


class Probes(Settings):
    """When a container has started, takes traffic, and is alive."""

    startup: Probe | None = None
    """Until it succeeds the other two wait; `startupSeconds` is its budget."""
    readiness: Probe | None = None
    """While it fails the Service sends nothing."""
    liveness: Probe | None = None
    """When it fails the container is started again."""


class EmptyDir(Settings):
    """Scratch space that goes with the Pod."""

    medium: Literal["", "Memory"] = ""
    """`Memory` for shared memory (tmpfs; counts as the container's memory)."""
    size_limit: Quantity | None = None
    """At most this much."""


class Volume(Settings):
    """One volume, mounted into the model's container: exactly one source, and where it goes."""

    mount_path: str = Field(pattern=r"^/")
    """Absolute path in the container."""
    read_only: bool = False
    """Mount without write access."""
    sub_path: str = ""
    """Mount this folder of the volume alone."""
    empty_dir: EmptyDir | None = None
    """Scratch space."""
    claim: str | None = None
    """Name of a PersistentVolumeClaim."""
    config_map: str | None = None
    """Name of a ConfigMap."""
    secret: str | None = None
    """Name of a Secret."""
    image: str | None = None
    """Image reference whose files are mounted read-only (Kubernetes 1.33 or newer)."""
    host_path: str | None = None
    """Path on the node."""
    nfs: dict[str, Any] | None = None
    """An NFS export as Kubernetes takes it: server, path."""
    csi: dict[str, Any] | None = None
    """An inline CSI volume as Kubernetes takes it."""

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        sources = (
            self.empty_dir, self.claim, self.config_map, self.secret,
            self.image, self.host_path, self.nfs, self.csi,
        )  # fmt: skip
        if sum(source is not None for source in sources) != 1:
            raise ValueError(
                "give exactly one of emptyDir, claim, configMap, secret, image, hostPath, nfs, csi"
            )
        return self


class Container(Settings):
    """An init container or a sidecar beside the model."""

    image: str
    """Image reference with tag or digest."""
    command: Texts = ()
    """Replaces the image's entrypoint."""
    args: Texts = ()
    """Arguments."""
    env: dict[str, EnvValue] = {}
    """Environment variables by name."""
    ports: Ports = {}
    """Ports by name."""
    resources: Resources = Resources()
    """Requests and limits."""
    mounts: dict[str, str] = {}
    """Path by the name of one of the model's volumes."""
