"""Builds the containers of a Pod: the model's own, its sidecars and its init containers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from framework.settings.container import (
    ConfigMapValue,
    Container,
    EnvSource,
    EnvValue,
    FieldValue,
    Port,
    Resources,
    ResourceValue,
    SecretValue,
    Sidecar,
)
from framework.settings.model import Model
from framework.settings.pod import ContainerSecurity, Security
from framework.settings.probes import Handler, HttpGet, Lifecycle, Probe, Probes
from framework.settings.reserved import CONFIG_VOLUME, MODEL_CONTAINER


def build_model_container(settings: Model, config_name: str | None) -> dict[str, Any]:
    """Builds the model's own container; `config_name` is the ConfigMap of its files."""
    return _without_empty(
        {
            "name": MODEL_CONTAINER,
            "image": settings.image.reference,
            "imagePullPolicy": settings.image.pull_policy,
            **_build_process(settings),
            "resources": _build_resources(settings.total_resources),
            "volumeMounts": _build_model_mounts(settings, config_name),
            "securityContext": _build_security(settings.security, ContainerSecurity()),
            **_build_probes(settings.probes, settings.startup_seconds),
            "lifecycle": _build_lifecycle(settings.lifecycle, settings.pre_stop_seconds),
            "terminationMessagePath": settings.termination_message_path,
            "terminationMessagePolicy": settings.termination_message_policy,
        }
    )


def build_extra_containers(settings: Model) -> list[dict[str, Any]]:
    """Builds `initContainers`: sidecars, then init containers, each sorted by name.

    A sidecar is an init container that restarts always. Kubernetes starts init containers in list
    order, so that sidecars which come first already run while the others do their work.
    """
    sidecars = [
        {**_build_sidecar(name, sidecar, settings.security), "restartPolicy": "Always"}
        for name, sidecar in sorted(settings.sidecars.items())
    ]
    return sidecars + [
        _build_extra_container(name, container, settings.security)
        for name, container in sorted(settings.init_containers.items())
    ]


def _build_sidecar(name: str, sidecar: Sidecar, security: Security) -> dict[str, Any]:
    return _without_empty(
        {
            **_build_extra_container(name, sidecar, security),
            **_build_probes(sidecar.probes, None),
            "lifecycle": _build_lifecycle(sidecar.lifecycle, 0),
        }
    )


def _build_extra_container(name: str, settings: Container, security: Security) -> dict[str, Any]:
    return _without_empty(
        {
            "name": name,
            "image": settings.image,
            "imagePullPolicy": settings.pull_policy,
            **_build_process(settings),
            "volumeMounts": _build_extra_mounts(settings),
            "securityContext": _build_security(security, settings.security),
        }
    )


def _build_process(settings: Model | Container) -> dict[str, Any]:
    """Builds the fields that every container has in common."""
    return {
        "command": list(settings.command),
        "args": list(settings.args),
        "workingDir": settings.working_dir,
        "ports": _build_ports(settings.ports),
        "env": _build_env(settings.env),
        "envFrom": _build_env_from(settings.env_from),
        "resources": _build_resources(settings.resources),
    }


def _without_empty(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in fields.items() if value not in ([], {}, None)}


def _build_model_mounts(settings: Model, config_name: str | None) -> list[dict[str, Any]]:
    mounts = [
        _build_mount(name, volume.mount_path, volume.read_only, volume.sub_path)
        for name, volume in settings.volumes.items()
        if volume.mount_path
    ]
    if config_name and settings.config:
        mounts.append(_build_mount(CONFIG_VOLUME, settings.config.mount_path, True, ""))
    return mounts


def _build_extra_mounts(settings: Container) -> list[dict[str, Any]]:
    return [
        _build_mount(volume, mount.path, mount.read_only, mount.sub_path)
        for volume, mount in settings.mounts.items()
    ]


def _build_mount(name: str, path: str, read_only: bool, sub_path: str) -> dict[str, Any]:
    mount: dict[str, Any] = {"name": name, "mountPath": path}
    if read_only:
        mount["readOnly"] = True
    if sub_path:
        mount["subPath"] = sub_path
    return mount


def _build_ports(ports: Mapping[str, Port]) -> list[dict[str, Any]]:
    return [
        {"name": name, "containerPort": port.container_port, "protocol": port.protocol}
        for name, port in ports.items()
    ]


def _build_env(env: Mapping[str, EnvValue]) -> list[dict[str, Any]]:
    return [
        {"name": name, "value": value}
        if isinstance(value, str)
        else {"name": name, "valueFrom": _build_value_source(value)}
        for name, value in env.items()
    ]


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
    return resources.model_dump(exclude_defaults=True)


def _build_probes(probes: Probes, startup_seconds: int | None) -> dict[str, Any]:
    """Builds the probes of a container.

    With `startup_seconds` there is always a startup probe, by default a copy of the readiness
    probe, and its failureThreshold allows that many seconds: 90 seconds with a period of 20 are 5
    failures.
    """
    built: dict[str, Any] = {}
    if startup_seconds is None:
        if probes.startup:
            built["startupProbe"] = _build_probe(probes.startup)
    elif startup := probes.startup or probes.readiness:
        built["startupProbe"] = {
            **_build_probe(startup),
            "failureThreshold": -(-startup_seconds // startup.period_seconds),
            "successThreshold": 1,
        }
    if probes.readiness:
        built["readinessProbe"] = _build_probe(probes.readiness)
    if probes.liveness:
        built["livenessProbe"] = _build_probe(probes.liveness)
    return built


def _build_probe(probe: Probe) -> dict[str, Any]:
    built = probe.model_dump(by_alias=True, exclude_none=True)
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
    """Builds a container's security context, without what the Pod's own says already."""
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
