"""The Pod template of one track: its containers, security and scheduling.

Kept apart from the objects around it: this is the part whose change rolls the Pods.
"""

from __future__ import annotations

from typing import Any

from framework.plan.containers import build_extra_containers, build_model_container
from framework.plan.names import Track, build_labels, build_selector
from framework.plan.volumes import build_volumes
from framework.settings.model import Model
from framework.settings.scheduling import Pod, Scheduling, Spread
from framework.settings.security import Security


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
        "securityContext": _build_security(settings.security),
        "containers": [build_model_container(settings, config_name)],
        "initContainers": build_extra_containers(settings),
        "volumes": build_volumes(settings, config_name),
        "imagePullSecrets": [{"name": name} for name in settings.image.pull_secrets],
        **_build_scheduling(model, track, settings.scheduling),
        **_build_rest(settings.pod),
    }
    return {key: value for key, value in spec.items() if value not in ([], {}, None)}


def _build_security(security: Security) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "runAsNonRoot": security.run_as_non_root,
        "runAsUser": security.run_as_user,
        "runAsGroup": security.run_as_group,
        "fsGroup": security.fs_group,
        "fsGroupChangePolicy": security.fs_group_change_policy,
        "supplementalGroups": list(security.supplemental_groups) or None,
        "seccompProfile": {"type": security.seccomp},
    }
    return {key: value for key, value in fields.items() if value is not None}


def _build_scheduling(model: str, track: Track, scheduling: Scheduling) -> dict[str, Any]:
    fields: dict[str, Any] = {
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
    return fields


def _build_spread(model: str, track: Track, scheduling: Scheduling) -> list[dict[str, Any]]:
    usual = ("topology.kubernetes.io/zone", "kubernetes.io/hostname") if scheduling.spread else ()
    spreads = {**dict.fromkeys(usual, Spread()), **scheduling.topology_spread}
    return [
        {
            "maxSkew": spread.max_skew,
            "topologyKey": topology,
            "whenUnsatisfiable": spread.when_unsatisfiable,
            "labelSelector": {"matchLabels": build_selector(model, track)},
            # Counts the Pods of one version, so that an update spreads the new ones by themselves.
            "matchLabelKeys": ["pod-template-hash"],
        }
        for topology, spread in spreads.items()
    ]


def _build_rest(pod: Pod) -> dict[str, Any]:
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
