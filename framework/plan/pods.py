"""The Pod template of one track: containers, probes, volumes, security, scheduling.

Kept apart from the objects around it: this is the part whose change rolls the Pods.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from framework.plan.names import Track, build_labels, build_selector
from framework.schema.container import (
    ConfigMapValue,
    Container,
    EnvSource,
    EnvValue,
    FieldValue,
    Port,
    Probe,
    Resources,
    ResourceValue,
    SecretValue,
    Volume,
)
from framework.schema.model import Model, Scheduling, Security

CONTAINER = "model"
_CONFIG_VOLUME = "config-files"


def build_pod_template(
    model: str, track: Track, settings: Model, config_name: str | None
) -> dict[str, Any]:
    """The `spec.template` of a Deployment; `config_name` is the ConfigMap of its files."""
    labels = {**build_labels(model, settings), **build_selector(model, track)}
    metadata: dict[str, Any] = {"labels": labels}
    if settings.pod_annotations:
        metadata["annotations"] = dict(settings.pod_annotations)
    return {"metadata": metadata, "spec": _build_pod_spec(model, track, settings, config_name)}


def _build_pod_spec(
    model: str, track: Track, settings: Model, config_name: str | None
) -> dict[str, Any]:
    spec: dict[str, Any] = {
        "serviceAccountName": settings.service_account.name or model,
        "automountServiceAccountToken": settings.service_account.automount_token,
        "terminationGracePeriodSeconds": settings.termination_grace_period_seconds,
        "securityContext": _build_pod_security(settings.security),
        "containers": [_build_model_container(settings, config_name)],
        "initContainers": _build_init_containers(settings),
        "volumes": _build_volumes(settings, config_name),
        "imagePullSecrets": [{"name": name} for name in settings.image.pull_secrets],
        **_build_scheduling(model, track, settings.scheduling),
    }
    return {key: value for key, value in spec.items() if value not in ([], {})}


def _build_model_container(settings: Model, config_name: str | None) -> dict[str, Any]:
    container: dict[str, Any] = {
        "name": CONTAINER,
        "image": settings.image.reference,
        "imagePullPolicy": settings.image.pull_policy,
        "command": list(settings.command),
        "args": list(settings.args),
        "ports": _build_ports(settings.ports),
        "env": _build_env(settings.env),
        "envFrom": [_build_env_source(source) for source in settings.env_from.values()],
        "resources": _build_resources(settings.resources),
        "volumeMounts": _build_mounts(settings, config_name),
        "securityContext": _build_container_security(settings.security),
        **_build_probes(settings),
    }
    if settings.pre_stop_seconds:
        # Native sleep (Kubernetes 1.30): images of model servers often have no shell.
        container["lifecycle"] = {"preStop": {"sleep": {"seconds": settings.pre_stop_seconds}}}
    return {key: value for key, value in container.items() if value not in ([], {})}


def _build_init_containers(settings: Model) -> list[dict[str, Any]]:
    sidecars = [
        {**_build_extra_container(name, container, settings.security), "restartPolicy": "Always"}
        for name, container in sorted(settings.sidecars.items())
    ]
    return sidecars + [
        _build_extra_container(name, container, settings.security)
        for name, container in sorted(settings.init_containers.items())
    ]


def _build_extra_container(name: str, settings: Container, security: Security) -> dict[str, Any]:
    container = {
        "name": name,
        "image": settings.image,
        "command": list(settings.command),
        "args": list(settings.args),
        "ports": _build_ports(settings.ports),
        "env": _build_env(settings.env),
        "resources": _build_resources(settings.resources),
        "volumeMounts": [
            {"name": volume, "mountPath": path} for volume, path in settings.mounts.items()
        ],
        "securityContext": _build_container_security(security),
    }
    return {key: value for key, value in container.items() if value not in ([], {})}


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
            return {"resourceFieldRef": {"resource": value.resource}}
        case SecretValue():
            name, source = value.secret, "secretKeyRef"
        case ConfigMapValue():
            name, source = value.config_map, "configMapKeyRef"
    optional = {"optional": True} if value.optional else {}
    return {source: {"name": name, "key": value.key, **optional}}


def _build_env_source(source: EnvSource) -> dict[str, Any]:
    prefix = {"prefix": source.prefix} if source.prefix else {}
    if source.secret:
        return {"secretRef": {"name": source.secret}, **prefix}
    return {"configMapRef": {"name": source.config_map}, **prefix}


def _build_resources(resources: Resources) -> dict[str, Any]:
    return resources.model_dump(exclude_defaults=True)


def _build_probes(settings: Model) -> dict[str, Any]:
    probes = settings.probes
    startup = probes.startup or probes.readiness
    built: dict[str, Any] = {}
    if startup:
        tries = -(-settings.startup_seconds // startup.period_seconds)
        built["startupProbe"] = {
            **_build_probe(startup),
            "failureThreshold": tries,
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
        headers = built["httpGet"].pop("httpHeaders")
        if headers:
            built["httpGet"]["httpHeaders"] = [
                {"name": name, "value": value} for name, value in headers.items()
            ]
    if probe.exec:
        built["exec"]["command"] = list(probe.exec.command)
    return built


def _build_volumes(settings: Model, config_name: str | None) -> list[dict[str, Any]]:
    volumes = [
        {"name": name, **_build_volume_source(volume)} for name, volume in settings.volumes.items()
    ]
    if config_name:
        volumes.append({"name": _CONFIG_VOLUME, "configMap": {"name": config_name}})
    return volumes


def _build_volume_source(volume: Volume) -> dict[str, Any]:
    if volume.empty_dir is not None:
        scratch = volume.empty_dir
        fields = {"medium": scratch.medium, "sizeLimit": scratch.size_limit}
        return {"emptyDir": {key: value for key, value in fields.items() if value}}
    named: dict[str, tuple[str | None, str]] = {
        "persistentVolumeClaim": (volume.claim, "claimName"),
        "configMap": (volume.config_map, "name"),
        "secret": (volume.secret, "secretName"),
        "image": (volume.image, "reference"),
        "hostPath": (volume.host_path, "path"),
    }
    for source, (name, key) in named.items():
        if name is not None:
            return {source: {key: name}}
    return {"nfs": volume.nfs} if volume.nfs is not None else {"csi": volume.csi}


def _build_mounts(settings: Model, config_name: str | None) -> list[dict[str, Any]]:
    mounts: list[dict[str, Any]] = []
    for name, volume in settings.volumes.items():
        mount: dict[str, Any] = {"name": name, "mountPath": volume.mount_path}
        if volume.read_only:
            mount["readOnly"] = True
        if volume.sub_path:
            mount["subPath"] = volume.sub_path
        mounts.append(mount)
    if config_name and settings.config:
        path = settings.config.mount_path
        mounts.append({"name": _CONFIG_VOLUME, "mountPath": path, "readOnly": True})
    return mounts


def _build_pod_security(security: Security) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "runAsNonRoot": security.run_as_non_root,
        "runAsUser": security.run_as_user,
        "runAsGroup": security.run_as_group,
        "fsGroup": security.fs_group,
        "seccompProfile": {"type": security.seccomp},
    }
    return {key: value for key, value in fields.items() if value is not None}


def _build_container_security(security: Security) -> dict[str, Any]:
    capabilities = {
        "drop": list(security.drop_capabilities),
        "add": list(security.add_capabilities),
    }
    return {
        "allowPrivilegeEscalation": security.allow_privilege_escalation,
        "readOnlyRootFilesystem": security.read_only_root_filesystem,
        "capabilities": {key: value for key, value in capabilities.items() if value},
    }


def _build_scheduling(model: str, track: Track, scheduling: Scheduling) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "nodeSelector": dict(scheduling.node_selector),
        "tolerations": list(scheduling.tolerations),
        "affinity": dict(scheduling.affinity),
        "priorityClassName": scheduling.priority_class or {},
        "runtimeClassName": scheduling.runtime_class or {},
        "schedulerName": scheduling.scheduler or {},
    }
    if scheduling.spread:
        fields["topologySpreadConstraints"] = [
            _build_spread(model, track, topology)
            for topology in ("topology.kubernetes.io/zone", "kubernetes.io/hostname")
        ]
    if scheduling.host_network:
        fields["hostNetwork"] = True
    if scheduling.host_ipc:
        fields["hostIPC"] = True
    return fields


def _build_spread(model: str, track: Track, topology: str) -> dict[str, Any]:
    return {
        "maxSkew": 1,
        "topologyKey": topology,
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": build_selector(model, track)},
        # Counts the Pods of one version, so that an update spreads the new ones by themselves.
        "matchLabelKeys": ["pod-template-hash"],
    }
