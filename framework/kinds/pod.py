"""Builds the Pod template of one track: volumes, security and scheduling; containers.py adds the
containers. A change of any field here replaces the Pods."""

from __future__ import annotations

from typing import Any

from framework.kinds.config_map import config_map_name, list_configs, rolled_files_hash
from framework.kinds.containers import build_containers, build_init_containers
from framework.kinds.kind import TrackInput
from framework.kinds.naming import Track, build_labels, build_selector
from framework.kinds.persistent_volume_claim import build_claim_spec, claim_name
from framework.settings.container import ConfigFiles
from framework.settings.pod import Pod, Scheduling, Security, Spread
from framework.settings.reserved import config_volume
from framework.settings.volumes import EmptyDir, Volume

_CONFIG_ANNOTATION = "modelcatalog/config-hash"


def build_pod_template(track: TrackInput) -> dict[str, Any]:
    """Builds `spec.template` of a Deployment."""
    settings = track.settings
    labels = {
        **build_labels(track.model, settings),
        **settings.pod_labels,
        # Last: the API server refuses a Deployment whose Pods lack the labels of its selector.
        **build_selector(track.model, track.track),
    }
    annotations = dict(settings.pod_annotations)
    if files := rolled_files_hash(track):
        annotations[_CONFIG_ANNOTATION] = files
    metadata = {"labels": labels, **({"annotations": annotations} if annotations else {})}
    return {"metadata": metadata, "spec": _build_pod_spec(track)}


def _build_pod_spec(track: TrackInput) -> dict[str, Any]:
    settings = track.settings
    spec: dict[str, Any] = {
        "serviceAccountName": settings.service_account.name or track.model,
        "automountServiceAccountToken": settings.service_account.automount_token,
        "terminationGracePeriodSeconds": settings.termination_grace_period_seconds,
        "securityContext": _build_security(settings.security),
        "containers": build_containers(settings),
        "initContainers": build_init_containers(settings),
        "volumes": _build_volumes(track),
        "imagePullSecrets": [{"name": name} for name in settings.image.pull_secrets],
        **_build_scheduling(track.model, track.track, settings.scheduling),
        **_build_pod_options(settings.pod),
    }
    # An empty field would be owned by our field manager, and `drift` would compare it.
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
        "resourceClaims": [
            {"name": name, **claim.model_dump(by_alias=True, exclude_none=True)}
            for name, claim in pod.resource_claims.items()
        ],
    }


def _build_volumes(track: TrackInput) -> list[dict[str, Any]]:
    volumes = [
        {"name": name, **_build_source(track.model, name, volume)}
        for name, volume in track.settings.volumes.items()
    ]
    configs = [
        {
            "name": config_volume(container),
            "configMap": _with_mode({"name": config_map_name(track, container, config)}, config),
        }
        for container, config in list_configs(track).items()
    ]
    return volumes + configs


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


def _with_mode(source: dict[str, Any], volume: Volume | ConfigFiles) -> dict[str, Any]:
    mode = {} if volume.default_mode is None else {"defaultMode": volume.default_mode}
    return {**source, **mode}


def _build_empty_dir(scratch: EmptyDir) -> dict[str, Any]:
    fields = {"medium": scratch.medium, "sizeLimit": scratch.size_limit}
    return {key: value for key, value in fields.items() if value}
