"""Builds the Pod template of one track: volumes, security and scheduling; containers.py adds the
containers. A change of any field here replaces the Pods."""

from __future__ import annotations

from typing import Any

from framework.kinds.containers import build_extra_containers, build_model_container
from framework.kinds.naming import Track, build_labels, build_selector
from framework.kinds.persistent_volume_claim import build_claim_spec, claim_name
from framework.settings.model import Model
from framework.settings.pod import Pod, Scheduling, Security, Spread
from framework.settings.reserved import CONFIG_VOLUME
from framework.settings.volumes import EmptyDir, Volume


def build_pod_template(
    model: str, track: Track, settings: Model, config_name: str | None
) -> dict[str, Any]:
    """Builds `spec.template` of a Deployment; `config_name` is the ConfigMap of its files."""
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
        "securityContext": _build_security(settings.security),
        "containers": [build_model_container(settings, config_name)],
        "initContainers": build_extra_containers(settings),
        "volumes": _build_volumes(model, settings, config_name),
        "imagePullSecrets": [{"name": name} for name in settings.image.pull_secrets],
        **_build_scheduling(model, track, settings.scheduling),
        **_build_pod_options(settings.pod),
    }
    return {key: value for key, value in spec.items() if value not in ([], {}, None)}


def _build_security(settings: Security) -> dict[str, Any]:
    security = settings.resolve()
    fields: dict[str, Any] = {
        "runAsNonRoot": security.run_as_non_root,
        "runAsUser": security.run_as_user,
        "runAsGroup": security.run_as_group,
        "fsGroup": security.fs_group,
        "fsGroupChangePolicy": security.fs_group_change_policy,
        "supplementalGroups": list(security.supplemental_groups) or None,
        "seccompProfile": {"type": security.seccomp} if security.seccomp else None,
    }
    return {key: value for key, value in fields.items() if value is not None}


def _build_scheduling(model: str, track: Track, scheduling: Scheduling) -> dict[str, Any]:
    return {
        "nodeSelector": dict(scheduling.node_selector),
        "tolerations": [
            toleration.model_dump(by_alias=True, exclude_none=True)
            for toleration in scheduling.tolerations
        ],
        "affinity": dict(scheduling.affinity),
        "priorityClassName": scheduling.priority_class,
        "runtimeClassName": scheduling.runtime_class,
        "schedulerName": scheduling.scheduler,
        "topologySpreadConstraints": _build_spread(model, track, scheduling),
        "hostNetwork": scheduling.host_network or None,
        "hostIPC": scheduling.host_ipc or None,
        "hostPID": scheduling.host_pid or None,
    }


def _build_spread(model: str, track: Track, scheduling: Scheduling) -> list[dict[str, Any]]:
    default = ("topology.kubernetes.io/zone", "kubernetes.io/hostname") if scheduling.spread else ()
    spreads = {**dict.fromkeys(default, Spread()), **scheduling.topology_spread}
    return [
        {
            "maxSkew": spread.max_skew,
            "topologyKey": topology,
            "whenUnsatisfiable": spread.when_unsatisfiable,
            "labelSelector": {"matchLabels": build_selector(model, track)},
            # Counts only the Pods of one ReplicaSet. Otherwise the old Pods of an update would
            # count as well, and the new ones would be uneven once the old ones are gone.
            "matchLabelKeys": ["pod-template-hash"],
        }
        for topology, spread in spreads.items()
    ]


def _build_pod_options(pod: Pod) -> dict[str, Any]:
    return {
        "hostname": pod.hostname,
        "subdomain": pod.subdomain,
        "hostAliases": [
            {"ip": address, "hostnames": list(names)} for address, names in pod.host_aliases.items()
        ],
        "dnsPolicy": pod.dns_policy,
        "dnsConfig": dict(pod.dns_config),
        "enableServiceLinks": pod.enable_service_links,
        "shareProcessNamespace": pod.share_process_namespace or None,
    }


def _build_volumes(model: str, settings: Model, config_name: str | None) -> list[dict[str, Any]]:
    volumes = [
        {"name": name, **_build_source(model, name, volume)}
        for name, volume in settings.volumes.items()
    ]
    if config_name:
        volumes.append({"name": CONFIG_VOLUME, "configMap": {"name": config_name}})
    return volumes


def _build_source(model: str, volume_name: str, volume: Volume) -> dict[str, Any]:
    as_written = {"nfs": volume.nfs, "csi": volume.csi, "projected": volume.projected}
    for source, written in as_written.items():
        if written is not None:
            return {source: _with_mode(written, volume) if source == "projected" else written}
    if volume.empty_dir is not None:
        return {"emptyDir": _build_empty_dir(volume.empty_dir)}
    if volume.ephemeral is not None:
        return {"ephemeral": {"volumeClaimTemplate": {"spec": build_claim_spec(volume.ephemeral)}}}
    if volume.claim is not None:
        name = volume.claim.name or claim_name(model, volume_name)
        return {"persistentVolumeClaim": {"claimName": name}}
    if volume.host_path is not None:
        kind = {"type": volume.host_path_type} if volume.host_path_type else {}
        return {"hostPath": {"path": volume.host_path, **kind}}
    if volume.image is not None:
        policy = {"pullPolicy": volume.pull_policy} if volume.pull_policy else {}
        return {"image": {"reference": volume.image, **policy}}
    return _build_files(volume)


def _build_files(volume: Volume) -> dict[str, Any]:
    source = {"secretName": volume.secret} if volume.secret else {"name": volume.config_map}
    files = _with_mode(source, volume)
    if volume.items:
        files["items"] = [{"key": key, "path": path} for key, path in volume.items.items()]
    if volume.optional:
        files["optional"] = True
    return {"secret" if volume.secret else "configMap": files}


def _with_mode(source: dict[str, Any], volume: Volume) -> dict[str, Any]:
    mode = {} if volume.default_mode is None else {"defaultMode": volume.default_mode}
    return {**source, **mode}


def _build_empty_dir(scratch: EmptyDir) -> dict[str, Any]:
    fields = {"medium": scratch.medium, "sizeLimit": scratch.size_limit}
    return {key: value for key, value in fields.items() if value}
