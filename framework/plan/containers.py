"""The containers of a Pod: the model's own, init containers and sidecars.

Kept apart from the Pod around them, because all of them are built from the same settings.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from framework.plan.volumes import build_extra_mounts, build_model_mounts
from framework.settings.container import Container, Port, Resources, Sidecar
from framework.settings.model import Model
from framework.settings.probes import Handler, HttpGet, Lifecycle, Probe, Probes
from framework.settings.rules import MODEL_CONTAINER
from framework.settings.security import ContainerSecurity, Security
from framework.settings.variables import (
    ConfigMapValue,
    EnvSource,
    EnvValue,
    FieldValue,
    ResourceValue,
    SecretValue,
)


def build_model_container(settings: Model, config_name: str | None) -> dict[str, Any]:
    """The container of the model itself; `config_name` is the ConfigMap of its files."""
    return _without_empty(
        {
            "name": MODEL_CONTAINER,
            "image": settings.image.reference,
            "imagePullPolicy": settings.image.pull_policy,
            **_build_process(settings),
            "volumeMounts": build_model_mounts(settings, config_name),
            "securityContext": _build_security(settings.security, ContainerSecurity()),
            **_build_probes(settings.probes, settings.startup_seconds),
            "lifecycle": _build_lifecycle(settings.lifecycle, settings.pre_stop_seconds),
            "terminationMessagePath": settings.termination_message_path,
            "terminationMessagePolicy": settings.termination_message_policy,
        }
    )


def build_extra_containers(settings: Model) -> list[dict[str, Any]]:
    """`initContainers`: sidecars first, for they must run when the others do."""
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
            "volumeMounts": build_extra_mounts(settings),
            "securityContext": _build_security(security, settings.security),
        }
    )


def _build_process(settings: Model | Container) -> dict[str, Any]:
    """What any container runs, and with what."""
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
    """The probes; with `startup_seconds` the startup probe has that budget, and stands in for the
    readiness probe where none is said."""
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
    # Native sleep (Kubernetes 1.30): images of model servers often have no shell.
    asleep = {"sleep": {"seconds": pre_stop_seconds}} if pre_stop_seconds else {}
    hooks = {
        "postStart": _build_handler(lifecycle.post_start) if lifecycle.post_start else {},
        "preStop": _build_handler(lifecycle.pre_stop) if lifecycle.pre_stop else asleep,
    }
    return _without_empty(hooks)


def _build_handler(handler: Handler) -> dict[str, Any]:
    if handler.exec:
        return {"exec": {"command": list(handler.exec.command)}}
    if handler.http_get:
        return {"httpGet": _build_http_get(handler.http_get)}
    return {"sleep": {"seconds": handler.sleep_seconds}}


def _build_security(model: Security, own: ContainerSecurity) -> dict[str, Any]:
    """What the Pod's security context does not say already."""
    security = own.over(model)
    capabilities = {
        "drop": list(security.drop_capabilities),
        "add": list(security.add_capabilities),
    }
    return {
        "allowPrivilegeEscalation": security.allow_privilege_escalation,
        **({"privileged": True} if security.privileged else {}),
        "readOnlyRootFilesystem": security.read_only_root_filesystem,
        "capabilities": _without_empty(capabilities),
        **_without_empty(
            {
                "runAsNonRoot": own.run_as_non_root,
                "runAsUser": own.run_as_user,
                "runAsGroup": own.run_as_group,
                "seccompProfile": {"type": own.seccomp} if own.seccomp else None,
            }
        ),
    }
