"""Builds the Pod template of one track: volumes, security and scheduling; containers.py adds the
containers. A change of any field here replaces the Pods."""

from __future__ import annotations

from typing import Any

from framework.kinds.config_map import config_map_name, list_configs, rolled_files_hash
from framework.kinds.containers import build_containers
from framework.kinds.kind import TrackInput, without_empty
from framework.kinds.naming import Track, build_labels, build_selector
from framework.kinds.persistent_volume_claim import build_claim_spec, claim_name
from framework.settings.pod import Scheduling, Security, Spread
from framework.settings.reserved import config_volume
from framework.settings.volumes import Volume

_CONFIG_ANNOTATION = "modelcatalog/config-hash"


def build_pod_template(track: TrackInput) -> dict[str, Any]:
    """Builds `spec.template` of a Deployment."""
    settings, pod, scheduling = track.settings, track.settings.pod, track.settings.scheduling
    annotations = dict(settings.pod_annotations)
    if files := rolled_files_hash(track):
        annotations[_CONFIG_ANNOTATION] = files
    labels = {
        **build_labels(track.model, settings),
        **settings.pod_labels,
        # Last: the API server refuses a Deployment whose Pods lack the labels of its selector.
        **build_selector(track.model, track.track),
    }
    spec: dict[str, Any] = {
        "serviceAccountName": settings.service_account.name or track.model,
        "automountServiceAccountToken": settings.service_account.automount_token,
        "terminationGracePeriodSeconds": settings.termination_grace_period_seconds,
        "securityContext": _build_security(settings.security),
        **build_containers(settings),
        "volumes": _build_volumes(track),
        "imagePullSecrets": [{"name": name} for name in settings.image.pull_secrets],
        "nodeSelector": dict(scheduling.node_selector),
        "tolerations": [
            toleration.model_dump(by_alias=True, exclude_none=True)
            for toleration in scheduling.tolerations
        ],
        "affinity": dict(scheduling.affinity),
        "priorityClassName": scheduling.priority_class,
        "runtimeClassName": scheduling.runtime_class,
        "schedulerName": scheduling.scheduler,
        "topologySpreadConstraints": _build_spread(track.model, track.track, scheduling),
        "hostNetwork": scheduling.host_network or None,
        "hostIPC": scheduling.host_ipc or None,
        "hostPID": scheduling.host_pid or None,
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
    metadata = without_empty({"labels": labels, "annotations": annotations})
    return {"metadata": metadata, "spec": without_empty(spec)}


def _build_security(settings: Security) -> dict[str, Any]:
    security = settings.resolve()
    return without_empty(
        {
            "runAsNonRoot": security.run_as_non_root,
            "runAsUser": security.run_as_user,
            "runAsGroup": security.run_as_group,
            "fsGroup": security.fs_group,
            "fsGroupChangePolicy": security.fs_group_change_policy,
            "supplementalGroups": list(security.supplemental_groups),
            "seccompProfile": {"type": security.seccomp} if security.seccomp else None,
        }
    )


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


def _build_volumes(track: TrackInput) -> list[dict[str, Any]]:
    volumes = [
        {"name": name, **_build_source(track.model, name, volume)}
        for name, volume in track.settings.volumes.items()
    ]
    configs = [
        {
            "name": config_volume(container),
            "configMap": without_empty(
                {
                    "name": config_map_name(track, container, config),
                    "defaultMode": config.default_mode,
                }
            ),
        }
        for container, config in list_configs(track).items()
    ]
    return volumes + configs


def _build_source(model: str, volume_name: str, volume: Volume) -> dict[str, Any]:
    as_written = {"nfs": volume.nfs, "csi": volume.csi, "projected": volume.projected}
    for source, written in as_written.items():
        if written is not None:
            # Only a projected volume may have a mode.
            mode = without_empty({"defaultMode": volume.default_mode})
            return {source: {**written, **mode}}
    if (scratch := volume.empty_dir) is not None:
        fields = {"medium": scratch.medium or None, "sizeLimit": scratch.size_limit}
        return {"emptyDir": without_empty(fields)}
    if volume.ephemeral is not None:
        return {"ephemeral": {"volumeClaimTemplate": {"spec": build_claim_spec(volume.ephemeral)}}}
    if volume.claim is not None:
        name = volume.claim.name or claim_name(model, volume_name)
        return {"persistentVolumeClaim": {"claimName": name}}
    if volume.host_path is not None:
        path = {"path": volume.host_path, "type": volume.host_path_type}
        return {"hostPath": without_empty(path)}
    if volume.image is not None:
        return {
            "image": without_empty({"reference": volume.image, "pullPolicy": volume.pull_policy})
        }
    files: dict[str, Any] = {
        "secretName" if volume.secret else "name": volume.secret or volume.config_map,
        "defaultMode": volume.default_mode,
        "items": [{"key": key, "path": path} for key, path in volume.items.items()],
        "optional": volume.optional or None,
    }
    return {"secret" if volume.secret else "configMap": without_empty(files)}
