"""The containers of a Pod: image, environment variables, ports, resources, mounts.

The model's own container is described by the keys of the model itself; init containers and sidecars
are mappings of their own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Discriminator, Field, Tag
from pydantic.alias_generators import to_camel

from framework.core.diagnostics import Code, SettingDiagnostic
from framework.core.env_references import find_cycles
from framework.core.quantities import multiply_quantity, quantity_value
from framework.core.suggestions import near_misses
from framework.settings.amounts import find_unlikely
from framework.settings.base import Checked, Settings, find_not_one, one_of
from framework.settings.forms import FileText, Kinds, Shorthand
from framework.settings.pod import ContainerSecurity
from framework.settings.probes import Handler, Lifecycle, Probe, Probes
from framework.settings.values import (
    AbsolutePath,
    AppProtocol,
    ConfigKey,
    Digest,
    EnvName,
    EnvPrefix,
    EnvText,
    FileMode,
    ImageReference,
    ImageTag,
    ObjectName,
    PodField,
    PortName,
    PortNumber,
    PullPolicy,
    Quantity,
    Repository,
    ResourceField,
    ResourceName,
    ShortName,
    Texts,
)
from framework.settings.volumes import Mounts

_CPU_UNITS = ("1", "1m")
_BYTE_UNITS = ("1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei")
# Kubernetes accepts a request below the limit for these; devices must have both equal.
_DIVISIBLE = frozenset({"cpu", "memory", "ephemeral-storage"})

TerminationMessagePolicy = Literal["File", "FallbackToLogsOnError"]


class Image(Checked):
    """The container image."""

    # A container runtime takes the digest and ignores the tag: a tag in a later layer over an
    # inherited digest would change nothing. The digest of a later layer keeps the tag, as a note.
    replaces: ClassVar[Mapping[str, frozenset[str]]] = {
        "tag": frozenset({"digest"}),
        "digest": frozenset(),
    }

    repository: Repository
    """Registry and repository, without a tag: `docker.io/seldonio/mlserver`."""
    tag: ImageTag | None = None
    """Tag. Quote it where YAML would read a number."""
    digest: Digest | None = None
    """Digest: `sha256:` and 64 hex digits. It takes precedence over the tag."""
    pull_policy: PullPolicy = "IfNotPresent"
    """When the kubelet pulls the image."""
    pull_secrets: Annotated[tuple[ObjectName, ...], Field(strict=False)] = ()
    """Names of Secrets of type kubernetes.io/dockerconfigjson."""

    def find_diagnostics(self) -> Iterator[SettingDiagnostic]:
        """Reports an image without tag and digest."""
        if not self.tag and not self.digest:
            yield SettingDiagnostic((), "has neither tag nor digest; give one")

    @property
    def reference(self) -> str:
        """The image as Kubernetes takes it: `repository:tag` or `repository:tag@digest`."""
        tag = f":{self.tag}" if self.tag else ""
        return f"{self.repository}{tag}" + (f"@{self.digest}" if self.digest else "")


class EnvReference(Settings):
    """An environment variable from another place."""

    forms: ClassVar[str] = (
        "text, {secret: ..., key: ...}, {configMap: ..., key: ...}, {field: ...} or {resource: ...}"
    )


class SecretValue(EnvReference):
    """An environment variable from a Secret."""

    secret: ObjectName
    """Name of the Secret."""
    key: ConfigKey
    """Key in the Secret."""
    optional: bool = False
    """Start the container even if the key does not exist."""


class ConfigMapValue(EnvReference):
    """An environment variable from a ConfigMap."""

    config_map: ObjectName
    """Name of the ConfigMap."""
    key: ConfigKey
    """Key in the ConfigMap."""
    optional: bool = False
    """Start the container even if the key does not exist."""


class FieldValue(EnvReference):
    """An environment variable from a field of the Pod."""

    field: PodField
    """Field of the Pod: `status.podIP`, `metadata.labels['x']`."""


class ResourceValue(EnvReference, Checked):
    """An environment variable from the requests or limits of a container."""

    resource: ResourceField
    """`limits.memory`, `requests.cpu` and so on."""
    container: ShortName | None = None
    """Name of another container of the Pod. Default: this container."""
    divisor: Quantity | None = None
    """Unit of the value: `1Mi`, `1m`. Default: bytes or whole cores."""

    def find_diagnostics(self) -> Iterator[SettingDiagnostic]:
        """Reports a unit that the API server does not accept for the resource."""
        if self.divisor is None or quantity_value(self.divisor) == 0:
            return
        units = _CPU_UNITS if self.resource.endswith(".cpu") else _BYTE_UNITS
        if quantity_value(self.divisor) not in map(quantity_value, units):
            message = f"is {self.divisor}; expected one of {', '.join(units)}"
            yield SettingDiagnostic(("divisor",), message, Code.BAD_VALUE)


_ENV_SOURCES = ("secret", "configMap", "field", "resource")


def _env_kind(value: Any) -> str:
    """Returns the tag of the arm of EnvValue that a value belongs to, by its keys."""
    if not isinstance(value, dict | Settings):
        return "text"
    if isinstance(value, dict):
        # A null removes the key of a lower layer.
        keys = [key for key in value if value[key] is not None]
    else:
        keys = [*map(to_camel, type(value).model_fields)]
    sources = [key for key in keys if key in _ENV_SOURCES]
    # `{secrt: hub, key: token}` is then checked as a Secret, and the error is about the misspelt
    # key alone. Without an arm, pydantic would report that the value has none of five forms.
    sources += [near for key in keys for near in near_misses(str(key), _ENV_SOURCES)]
    return sources[0] if sources else "secret"


EnvValue = Annotated[
    Annotated[EnvText, Tag("text")]
    | Annotated[SecretValue, Tag("secret")]
    | Annotated[ConfigMapValue, Tag("configMap")]
    | Annotated[FieldValue, Tag("field")]
    | Annotated[ResourceValue, Tag("resource")],
    Discriminator(_env_kind),
    Kinds(_ENV_SOURCES, ("key", "optional", "container", "divisor")),
]
Env = dict[EnvName, EnvValue]


class EnvSource(Checked):
    """A Secret or ConfigMap of which every key becomes an environment variable."""

    replaces = one_of("secret", "configMap")

    secret: ObjectName | None = None
    """Name of the Secret; exactly one of this and `configMap`."""
    config_map: ObjectName | None = None
    """Name of the ConfigMap; exactly one of this and `secret`."""
    prefix: EnvPrefix = ""
    """Text before the name of every variable."""
    optional: bool = False
    """Start the container even if the Secret or ConfigMap does not exist."""

    def find_diagnostics(self) -> Iterator[SettingDiagnostic]:
        """Reports a source that names both a Secret and a ConfigMap, or neither."""
        yield from find_not_one(self, "secret", "config_map")


EnvFrom = dict[str, EnvSource]


class Port(Settings):
    """A port that the container listens on."""

    container_port: PortNumber
    """Port number in the Pod."""
    protocol: Literal["TCP", "UDP", "SCTP"] = "TCP"
    """Transport protocol."""
    service_port: PortNumber | None = None
    """Port number of the Service. Default: `containerPort`. The port of a sidecar is in the Service
    only if this is set, or if `service.ports` lists it."""
    app_protocol: AppProtocol | None = None
    """Application protocol, for proxies: `kubernetes.io/h2c` for gRPC."""
    node_port: PortNumber | None = None
    """Port number on every node, for a Service of type NodePort or LoadBalancer."""


Ports = dict[PortName, Annotated[Port, Shorthand("containerPort", PortNumber)]]


class ClaimedResource(Settings):
    """The use of one of the Pod's resource claims in a container."""

    request: ShortName | None = None
    """Name of a request in the claim. Default: all devices of the claim."""


class Resources(Checked):
    """Requests and limits by resource name: `cpu`, `memory`, `nvidia.com/gpu` and so on."""

    requests: dict[ResourceName, Quantity] = {}
    """Resources that the scheduler reserves on the node."""
    limits: dict[ResourceName, Quantity] = {}
    """Resources that the container may use at most. GPUs are given here."""
    claims: dict[ShortName, ClaimedResource] = {}
    """Devices of dynamic resource allocation, by the name of an entry of `pod.resourceClaims`; `{}`
    uses all devices of the claim (Kubernetes 1.34 or newer)."""

    def find_diagnostics(self) -> Iterator[SettingDiagnostic]:
        """Reports requests above limits, devices that are split, and amounts that are mistakes."""
        amounts = [
            (kind, name, amount)
            for kind in ("requests", "limits")
            for name, amount in getattr(self, kind).items()
        ]
        unlikely, huge = set(), []
        for kind, name, amount in amounts:
            if message := find_unlikely(name, amount):
                unlikely.add(name)
                yield SettingDiagnostic((kind, name), message, Code.BAD_VALUE)
            if name.startswith("hugepages-"):
                huge.append((kind, name))
                page = quantity_value(name.removeprefix("hugepages-"))
                if not page or quantity_value(amount) % page:
                    message = f"is {amount}; expected a multiple of the size of a page"
                    yield SettingDiagnostic((kind, name), message, Code.BAD_VALUE)
        if huge and not {"cpu", "memory"} & {name for _, name, _ in amounts}:
            message = "is allowed only in a container that requests or limits cpu or memory"
            yield SettingDiagnostic(huge[0], message)
        for name, request in self.requests.items():
            limit = self.limits.get(name)
            if name not in _DIVISIBLE:
                if limit is None:
                    message = "has no limit; expected the same number in limits"
                    yield SettingDiagnostic(("requests", name), message)
                elif quantity_value(request) != quantity_value(limit):
                    message = f"is {request}; expected its limit, {limit}: devices are never shared"
                    yield SettingDiagnostic(("requests", name), message)
            # A limit of `512m` of memory is less than any request; one error about it is enough.
            elif limit and name not in unlikely and quantity_value(request) > quantity_value(limit):
                message = f"is {request}; expected at most its limit, {limit}"
                yield SettingDiagnostic(("requests", name), message, others=(("limits", name),))
        for name, limit in self.limits.items():
            # A name with a slash is that of a device, such as nvidia.com/gpu, and a device cannot
            # be divided.
            if "/" in name and quantity_value(limit).denominator != 1:
                yield SettingDiagnostic(("limits", name), f"is {limit}; expected whole devices")

    def multiplied(self, factor: int) -> Resources:
        """Returns these resources with every amount multiplied."""
        return self.model_copy(
            update={
                kind: {
                    name: multiply_quantity(amount, factor)
                    for name, amount in getattr(self, kind).items()
                }
                for kind in ("requests", "limits")
                if getattr(self, kind)
            }
        )


class ConfigFiles(Settings):
    """Files mounted from a ConfigMap. A change of a file starts a rolling update, because a hash of
    the content is part of the ConfigMap's name."""

    mount_path: AbsolutePath | None = None
    """Absolute path of the folder in the container. Required, unless `mounts` of a container names
    the volume: `config-files`, or `config-files-<container>`. With `subPath` a mount shows one file
    in a folder of the image."""
    default_mode: FileMode | None = None
    """Mode of the files in octal digits, such as `"0755"` for scripts. Default: `"0644"`
    (Kubernetes)."""
    name: ObjectName | None = None
    """Fixed name of the ConfigMap, for other objects that refer to it; that of the canary has the
    suffix `-canary`. Default: `<model>-config-<hash>`."""
    roll_on_change: bool = True
    """Start a rolling update when a file changes. With false the ConfigMap has a fixed name and is
    updated in place; the files of running Pods change about a minute later."""
    files: dict[ConfigKey, Annotated[str, FileText()]] = Field(min_length=1)
    """Content of each file, by file name: text, or a mapping of `text` and `interpolate`. With
    `interpolate: false`, `${name}` in the text stays as written."""


class ContainerSettings(Checked):
    """The settings that all containers of a Pod have in common: the model's own, sidecars and init
    containers."""

    command: Texts = ()
    """Replaces the entrypoint of the image."""
    args: Texts = ()
    """Arguments of the command."""
    working_dir: AbsolutePath | None = None
    """Working directory. Default: that of the image."""
    env: Env = {}
    """Environment variables by name: text, or from a Secret, ConfigMap, Pod field or resource."""
    env_from: EnvFrom = {}
    """Secrets and ConfigMaps, each by a name of your choice. Every key in them becomes an
    environment variable."""
    config: ConfigFiles | None = None
    """Files mounted from a ConfigMap."""
    ports: Ports = {}
    """Ports by name: a mapping, or the number alone."""
    resources: Resources = Resources.model_construct()
    """Requests and limits. If `gpus` is set, those of the model are for one GPU."""
    mounts: Mounts = {}
    """Mount path by the name of a volume, or a mapping of path, readOnly, subPath and so on."""
    stdin: bool = False
    """Keep the standard input open."""
    stdin_once: bool = False
    """Close the standard input after the first client that attached to it has left."""
    tty: bool = False
    """Allocate a terminal. Needs `stdin` for interactive use."""
    termination_message_path: AbsolutePath | None = None
    """Path of the termination message file. Default: `/dev/termination-log` (Kubernetes)."""
    termination_message_policy: TerminationMessagePolicy | None = None
    """`FallbackToLogsOnError` uses the end of the log where that file is empty. Default: `File`
    (Kubernetes)."""

    def mount_paths(self) -> dict[tuple[str, ...], str]:
        """Returns the path of every mount of this container, by its setting."""
        paths: dict[tuple[str, ...], str] = {
            ("mounts", name): mount.path for name, mount in self.mounts.items()
        }
        if self.config and self.config.mount_path:
            paths["config", "mountPath"] = self.config.mount_path
        return paths

    def find_diagnostics(self) -> Iterator[SettingDiagnostic]:
        """Reports variables that refer to each other, and ports and paths that are used twice."""
        texts = {name: value for name, value in self.env.items() if isinstance(value, str)}
        for cycle in find_cycles(texts):
            shown = " -> ".join((*cycle, cycle[0]))
            message = f"refers to itself: {shown}; give one of them a value without a reference"
            others = tuple(("env", name) for name in cycle[1:])
            yield SettingDiagnostic(("env", cycle[0]), message, others=others)
        names: dict[tuple[int, str], str] = {}
        for name, port in self.ports.items():
            first = names.setdefault((port.container_port, port.protocol), name)
            if first != name:
                yield SettingDiagnostic(
                    ("ports", name),
                    f'is {port.protocol} {port.container_port}, like "{first}"; expected another '
                    "number or protocol",
                    others=(("ports", first),),
                )
        settings: dict[str, tuple[str, ...]] = {}
        for setting, path in self.mount_paths().items():
            mounted = settings.setdefault(path.rstrip("/") or "/", setting)
            if mounted != setting:
                where = ".".join(mounted)
                message = f"is {path}, where {where} is mounted too; expected another path"
                yield SettingDiagnostic(setting, message, others=(mounted,))
        if self.stdin_once and not self.stdin:
            yield SettingDiagnostic(("stdinOnce",), "has no effect without stdin: true; remove it")


class ServingContainer(ContainerSettings):
    """The settings of a container that runs as long as the Pod: the model's own, and sidecars."""

    probes: Probes = Probes.model_construct()
    """Startup, readiness and liveness probes."""
    lifecycle: Lifecycle = Lifecycle.model_construct()
    """Handlers that run after a container starts and before it stops."""

    def find_diagnostics(self) -> Iterator[SettingDiagnostic]:
        """Reports what is wrong with any container, and probes of ports that do not exist."""
        yield from super().find_diagnostics()
        known = f"expected one of the ports: {', '.join(sorted(self.ports)) or 'none'}, or a number"
        handlers: dict[tuple[str, ...], Probe | Handler | None] = {
            ("probes", "startup"): self.probes.startup,
            ("probes", "readiness"): self.probes.readiness,
            ("probes", "liveness"): self.probes.liveness,
            ("lifecycle", "postStart"): self.lifecycle.post_start,
            ("lifecycle", "preStop"): self.lifecycle.pre_stop,
        }
        for path, handler in handlers.items():
            for key, field in (("httpGet", "http_get"), ("tcpSocket", "tcp_socket")):
                # A lifecycle handler opens no TCP connection.
                port = getattr(getattr(handler, field, None), "port", None)
                if isinstance(port, str) and port not in self.ports:
                    yield SettingDiagnostic((*path, key, "port"), f'is "{port}"; {known}')


class Container(ContainerSettings):
    """An init container. It runs to completion before the model starts."""

    image: ImageReference
    """Image with tag or digest."""
    pull_policy: PullPolicy | None = None
    """When the kubelet pulls the image. Default: `Always` for the tag `latest`, else
    `IfNotPresent` (Kubernetes)."""
    security: ContainerSecurity = ContainerSecurity.model_construct()
    """Settings in which one container differs from `security` of the model."""


class Sidecar(Container, ServingContainer):
    """A container beside the model. It starts before the model and stops after it."""

    native: bool = True
    """Start the container before the model and stop it after the model. With false, it is an
    ordinary second container: it starts and stops together with the model."""
