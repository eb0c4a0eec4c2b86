"""Builds the containers of a Pod: the model's own, its sidecars and its init containers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from framework.core.env_references import order_variables
from framework.settings.container import (
    ConfigMapValue,
    Container,
    ContainerSettings,
    EnvSource,
    EnvValue,
    FieldValue,
    Port,
    Resources,
    ResourceValue,
    SecretValue,
    ServingContainer,
)
from framework.settings.model import Model
from framework.settings.pod import ContainerSecurity, Security
from framework.settings.probes import Handler, HttpGet, Lifecycle, Probe, Probes, active
from framework.settings.reserved import MODEL_CONTAINER, config_volume
from framework.settings.volumes import Mount, Volume


def build_containers(settings: Model) -> list[dict[str, Any]]:
    """Builds `containers`: the model's own first, then those sidecars that are not native."""
    own = _build_container(MODEL_CONTAINER, settings, settings, settings.pre_stop_seconds)
    # Kubernetes sends the stop signal to these at the same time as to the model, so they wait as
    # long as the model does. A proxy in front of it would otherwise refuse the last requests.
    return [own] + [
        _build_container(name, sidecar, settings, settings.pre_stop_seconds)
        for name, sidecar in sorted(settings.sidecars.items())
        if not sidecar.native
    ]


def build_init_containers(settings: Model) -> list[dict[str, Any]]:
    """Builds `initContainers`: native sidecars, then init containers, each sorted by name.

    A native sidecar is an init container that restarts always. Kubernetes starts init containers in
    list order, so that sidecars which come first already run while the others do their work.
    """
    sidecars = [
        {**_build_container(name, sidecar, settings, 0), "restartPolicy": "Always"}
        for name, sidecar in sorted(settings.sidecars.items())
        if sidecar.native
    ]
    return sidecars + [
        _build_container(name, container, settings, 0)
        for name, container in sorted(settings.init_containers.items())
    ]


def _build_container(
    name: str, settings: ContainerSettings, model: Model, pre_stop_seconds: int
) -> dict[str, Any]:
    """Builds one container of a model, from the settings of this container."""
    fields: dict[str, Any] = {"name": name}
    own = ContainerSecurity()
    if isinstance(settings, Model):
        fields |= {
            "image": settings.image.reference,
            "imagePullPolicy": settings.image.pull_policy,
        }
    elif isinstance(settings, Container):
        fields |= {"image": settings.image, "imagePullPolicy": settings.pull_policy}
        own = settings.security
    fields |= {
        "command": list(settings.command),
        "args": list(settings.args),
        "workingDir": settings.working_dir,
        "ports": _build_ports(settings.ports),
        "env": _build_env(settings.env),
        "envFrom": _build_env_from(settings.env_from),
        "resources": _build_resources(
            settings.total_resources if isinstance(settings, Model) else settings.resources
        ),
        "volumeMounts": _build_mounts(name, settings),
        "securityContext": _build_security(model.security, own),
    }
    if isinstance(settings, ServingContainer):
        own_startup = settings.probes.own_startup
        startup = settings.startup_probe if isinstance(settings, Model) else own_startup
        fields |= {
            **_build_probes(settings.probes, startup),
            "lifecycle": _build_lifecycle(settings.lifecycle, pre_stop_seconds),
        }
    return _without_empty(
        {
            **fields,
            "terminationMessagePath": settings.termination_message_path,
            "terminationMessagePolicy": settings.termination_message_policy,
            "stdin": settings.stdin or None,
            "stdinOnce": settings.stdin_once or None,
            "tty": settings.tty or None,
        }
    )


def _without_empty(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in fields.items() if value not in ([], {}, None)}


def _build_mounts(container: str, settings: ContainerSettings) -> list[dict[str, Any]]:
    mounts = []
    if isinstance(settings, Model):
        mounts += [
            _build_mount(name, Mount.model_construct(path=path, **_mount_options(volume)))
            for name, volume in settings.volumes.items()
            if (path := volume.mount_path)
        ]
    mounts += [_build_mount(mount.volume or name, mount) for name, mount in settings.mounts.items()]
    if settings.config and settings.config.mount_path:
        files = Mount.model_construct(path=settings.config.mount_path, read_only=True)
        mounts.append(_build_mount(config_volume(container), files))
    return mounts


def _mount_options(volume: Volume) -> dict[str, Any]:
    return {"read_only": volume.read_only, "sub_path": volume.sub_path}


def _build_mount(volume: str, mount: Mount) -> dict[str, Any]:
    options = {
        "readOnly": mount.read_only,
        "subPath": mount.sub_path,
        "subPathExpr": mount.sub_path_expr,
        "mountPropagation": mount.mount_propagation,
    }
    present = {key: value for key, value in options.items() if value}
    return {"name": volume, "mountPath": mount.path, **present}


def _build_ports(ports: Mapping[str, Port]) -> list[dict[str, Any]]:
    return [
        {"name": name, "containerPort": port.container_port, "protocol": port.protocol}
        for name, port in ports.items()
    ]


def _build_env(env: Mapping[str, EnvValue]) -> list[dict[str, Any]]:
    # The order of merged settings is that of their first layer, and has no meaning: a profile's
    # variable may refer to one that the model adds.
    return order_variables(
        [
            {"name": name, "value": value}
            if isinstance(value, str)
            else {"name": name, "valueFrom": _build_value_source(value)}
            for name, value in env.items()
        ]
    )


def _build_value_source(
    value: SecretValue | ConfigMapValue | FieldValue | ResourceValue,
) -> dict[str, Any]:
    match value:
        case FieldValue():
            return {"fieldRef": {"fieldPath": value.field}}
        case ResourceValue():
            fields = {
                "containerName": value.container,
                "resource": value.resource,
                "divisor": value.divisor,
            }
            return {"resourceFieldRef": _without_empty(fields)}
        case SecretValue():
            name, source = value.secret, "secretKeyRef"
        case ConfigMapValue():
            name, source = value.config_map, "configMapKeyRef"
    optional = {"optional": True} if value.optional else {}
    return {source: {"name": name, "key": value.key, **optional}}


def _build_env_from(sources: Mapping[str, EnvSource]) -> list[dict[str, Any]]:
    return [_build_env_source(source) for source in sources.values()]


def _build_env_source(source: EnvSource) -> dict[str, Any]:
    prefix = {"prefix": source.prefix} if source.prefix else {}
    optional = {"optional": True} if source.optional else {}
    if source.secret:
        return {"secretRef": {"name": source.secret, **optional}, **prefix}
    return {"configMapRef": {"name": source.config_map, **optional}, **prefix}


def _build_resources(resources: Resources) -> dict[str, Any]:
    built = resources.model_dump(exclude_defaults=True)
    if resources.claims:
        built["claims"] = [
            {"name": name, **claim.model_dump(exclude_none=True)}
            for name, claim in resources.claims.items()
        ]
    return built


def _build_probes(probes: Probes, startup: Probe | None) -> dict[str, Any]:
    """Builds the probes of a container; `startup` is the one that starts it."""
    named = {
        "startupProbe": startup,
        "readinessProbe": active(probes.readiness),
        "livenessProbe": active(probes.liveness),
    }
    return {name: _build_probe(probe) for name, probe in named.items() if probe}


def _build_probe(probe: Probe) -> dict[str, Any]:
    built = probe.model_dump(by_alias=True, exclude_none=True, exclude={"enabled"})
    if probe.http_get:
        built["httpGet"] = _build_http_get(probe.http_get)
    if probe.exec:
        built["exec"]["command"] = list(probe.exec.command)
    return built


def _build_http_get(http_get: HttpGet) -> dict[str, Any]:
    built = http_get.model_dump(by_alias=True, exclude_none=True, exclude={"http_headers"})
    if http_get.http_headers:
        built["httpHeaders"] = [
            {"name": name, "value": value} for name, value in http_get.http_headers.items()
        ]
    return built


def _build_lifecycle(lifecycle: Lifecycle, pre_stop_seconds: int) -> dict[str, Any]:
    # The sleep action (Kubernetes 1.30) works in images without a shell, as many model servers are.
    sleep = {"sleep": {"seconds": pre_stop_seconds}} if pre_stop_seconds else {}
    hooks = {
        "postStart": _build_handler(lifecycle.post_start) if lifecycle.post_start else {},
        "preStop": _build_handler(lifecycle.pre_stop) if lifecycle.pre_stop else sleep,
    }
    return _without_empty(hooks)


def _build_handler(handler: Handler) -> dict[str, Any]:
    if handler.exec:
        return {"exec": {"command": list(handler.exec.command)}}
    if handler.http_get:
        return {"httpGet": _build_http_get(handler.http_get)}
    return {"sleep": {"seconds": handler.sleep_seconds}}


def _build_security(model: Security, own: ContainerSecurity) -> dict[str, Any]:
    """Builds a container's security context, without what the Pod's own sets already."""
    security = own.over(model).resolve()
    capabilities = {
        "drop": list(security.drop_capabilities or ()),
        "add": list(security.add_capabilities),
    }
    return _without_empty(
        {
            "allowPrivilegeEscalation": security.allow_privilege_escalation,
            "privileged": security.privileged or None,
            "readOnlyRootFilesystem": security.read_only_root_filesystem,
            "capabilities": _without_empty(capabilities),
            "runAsNonRoot": own.run_as_non_root,
            "runAsUser": own.run_as_user,
            "runAsGroup": own.run_as_group,
            "seccompProfile": {"type": own.seccomp} if own.seccomp else None,
        }
    )
