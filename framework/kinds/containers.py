"""Builds the containers of a Pod: the model's own, its sidecars and its init containers."""

from __future__ import annotations

from typing import Any

from framework.core.env_references import order_variables
from framework.kinds.kind import without_empty
from framework.settings.container import (
    ConfigMapValue,
    Container,
    ContainerSettings,
    EnvSource,
    FieldValue,
    Resources,
    ResourceValue,
    SecretValue,
    ServingContainer,
    Sidecar,
)
from framework.settings.model import Model
from framework.settings.pod import ContainerSecurity, Security
from framework.settings.probes import Handler, HttpGet, Lifecycle, Probe, active
from framework.settings.reserved import MODEL_CONTAINER, config_volume
from framework.settings.volumes import Mount, Volume


def build_containers(settings: Model) -> dict[str, list[dict[str, Any]]]:
    """Builds `containers`, the model's own first, and `initContainers`.

    A native sidecar is an init container that restarts always. Kubernetes starts init containers in
    list order, so that sidecars which come first already run while the others do their work.
    """
    containers, init_containers = [_build_container(MODEL_CONTAINER, settings, settings)], []
    for name, sidecar in sorted(settings.sidecars.items()):
        built = _build_container(name, sidecar, settings)
        if sidecar.native:
            init_containers.append({**built, "restartPolicy": "Always"})
        else:
            containers.append(built)
    for name, container in sorted(settings.init_containers.items()):
        init_containers.append(_build_container(name, container, settings))
    return {"containers": containers, "initContainers": init_containers}


def _build_container(name: str, settings: ContainerSettings, model: Model) -> dict[str, Any]:
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
    is_model = isinstance(settings, Model)
    fields |= {
        "command": list(settings.command),
        "args": list(settings.args),
        "workingDir": settings.working_dir,
        "ports": [
            {"name": port_name, "containerPort": port.container_port, "protocol": port.protocol}
            for port_name, port in settings.ports.items()
        ],
        # The order of merged settings is that of their first layer, and has no meaning: a profile's
        # variable may refer to one that the model adds.
        "env": order_variables(
            [
                {"name": variable, "value": value}
                if isinstance(value, str)
                else {"name": variable, "valueFrom": _build_value_source(value)}
                for variable, value in settings.env.items()
            ]
        ),
        "envFrom": [_build_env_source(source) for source in settings.env_from.values()],
        "resources": _build_resources(model.total_resources if is_model else settings.resources),
        "volumeMounts": _build_mounts(name, settings),
        "securityContext": _build_security(model.security, own),
    }
    if isinstance(settings, ServingContainer):
        probes = {
            "startupProbe": model.startup_probe if is_model else settings.probes.own_startup,
            "readinessProbe": active(settings.probes.readiness),
            "livenessProbe": active(settings.probes.liveness),
        }
        fields |= {key: _build_probe(probe) for key, probe in probes.items() if probe}
        # Kubernetes sends the stop signal to a sidecar that is not native at the same time as to
        # the model, so it waits as long as the model does. A proxy in front of the model would
        # otherwise refuse the last requests.
        waits = not (isinstance(settings, Sidecar) and settings.native)
        wait = model.pre_stop_seconds if waits else 0
        fields["lifecycle"] = _build_lifecycle(settings.lifecycle, wait)
    return without_empty(
        {
            **fields,
            "terminationMessagePath": settings.termination_message_path,
            "terminationMessagePolicy": settings.termination_message_policy,
            "stdin": settings.stdin or None,
            "stdinOnce": settings.stdin_once or None,
            "tty": settings.tty or None,
        }
    )


def _build_mounts(container: str, settings: ContainerSettings) -> list[dict[str, Any]]:
    mounts = []
    if isinstance(settings, Model):
        mounts += [
            _build_mount(name, volume.mount_path, volume)
            for name, volume in settings.volumes.items()
            if volume.mount_path
        ]
    for name, mount in settings.mounts.items():
        mounts.append(_build_mount(mount.volume or name, mount.path, mount))
    if settings.config and (path := settings.config.mount_path):
        mounts.append({"name": config_volume(container), "mountPath": path, "readOnly": True})
    return mounts


def _build_mount(name: str, path: str, options: Mount | Volume) -> dict[str, Any]:
    fields = {"readOnly": options.read_only, "subPath": options.sub_path}
    if isinstance(options, Mount):
        fields["subPathExpr"] = options.sub_path_expr
        fields["mountPropagation"] = options.mount_propagation or ""
    present = {key: value for key, value in fields.items() if value}
    return {"name": name, "mountPath": path, **present}


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
            return {"resourceFieldRef": without_empty(fields)}
        case SecretValue():
            name, source = value.secret, "secretKeyRef"
        case ConfigMapValue():
            name, source = value.config_map, "configMapKeyRef"
    optional = {"optional": True} if value.optional else {}
    return {source: {"name": name, "key": value.key, **optional}}


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
    return without_empty(hooks)


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
    return without_empty(
        {
            "allowPrivilegeEscalation": security.allow_privilege_escalation,
            "privileged": security.privileged or None,
            "readOnlyRootFilesystem": security.read_only_root_filesystem,
            "capabilities": without_empty(capabilities),
            "runAsNonRoot": own.run_as_non_root,
            "runAsUser": own.run_as_user,
            "runAsGroup": own.run_as_group,
            "seccompProfile": {"type": own.seccomp} if own.seccomp else None,
        }
    )
