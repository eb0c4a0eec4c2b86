"""Reads the settings of a model from a Deployment: the inverse of framework/kinds/pod.py."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from framework.core.diagnostics import KeyPath
from framework.edits.importing.containers import (
    Settings,
    read_extra_container,
    read_image,
    read_lifecycle,
    read_mounts,
    read_probes,
    read_process,
    read_security,
)
from framework.settings.reserved import CONFIG_VOLUME, MODEL_CONTAINER

# From a field of the Deployment or of the Pod to its setting, with Kubernetes' own value. To read
# another field, add a line.
_DEPLOYMENT: tuple[tuple[KeyPath, KeyPath, Any], ...] = (
    (("replicas",), ("replicas",), 1),
    (("minReadySeconds",), ("rollout", "minReadySeconds"), 0),
    (("progressDeadlineSeconds",), ("rollout", "progressDeadlineSeconds"), 600),
    (("revisionHistoryLimit",), ("rollout", "revisionHistoryLimit"), 10),
    (("strategy", "rollingUpdate", "maxSurge"), ("rollout", "maxSurge"), "25%"),
    (("strategy", "rollingUpdate", "maxUnavailable"), ("rollout", "maxUnavailable"), "25%"),
)
_POD: tuple[tuple[KeyPath, KeyPath, Any], ...] = (
    (("terminationGracePeriodSeconds",), ("terminationGracePeriodSeconds",), 30),
    (("serviceAccountName",), ("serviceAccount", "name"), "default"),
    (("automountServiceAccountToken",), ("serviceAccount", "automountToken"), True),
    (("nodeSelector",), ("scheduling", "nodeSelector"), {}),
    (("tolerations",), ("scheduling", "tolerations"), []),
    (("affinity",), ("scheduling", "affinity"), {}),
    (("priorityClassName",), ("scheduling", "priorityClass"), None),
    (("runtimeClassName",), ("scheduling", "runtimeClass"), None),
    (("schedulerName",), ("scheduling", "scheduler"), None),
    (("hostNetwork",), ("scheduling", "hostNetwork"), False),
    (("hostIPC",), ("scheduling", "hostIPC"), False),
    (("hostPID",), ("scheduling", "hostPID"), False),
    (("hostname",), ("pod", "hostname"), None),
    (("subdomain",), ("pod", "subdomain"), None),
    (("dnsPolicy",), ("pod", "dnsPolicy"), None),
    (("dnsConfig",), ("pod", "dnsConfig"), {}),
    (("enableServiceLinks",), ("pod", "enableServiceLinks"), None),
    (("shareProcessNamespace",), ("pod", "shareProcessNamespace"), False),
    (("securityContext", "fsGroup"), ("security", "fsGroup"), None),
    (("securityContext", "fsGroupChangePolicy"), ("security", "fsGroupChangePolicy"), None),
    (("securityContext", "supplementalGroups"), ("security", "supplementalGroups"), []),
)
_SPREAD = {"maxSkew": "maxSkew", "whenUnsatisfiable": "whenUnsatisfiable"}


def read_deployment(deployment: Mapping[str, Any]) -> Settings:
    """Returns the settings of a translated Deployment, whose first container is the model's."""
    spec = deployment["spec"]
    template = spec["template"]
    pod = template["spec"]
    main = next(c for c in pod["containers"] if c["name"] == MODEL_CONTAINER)
    security = read_security(main.get("securityContext") or {})
    settings: Settings = {
        "image": read_image(main),
        **read_process(main),
        "probes": read_probes(main),
        "lifecycle": read_lifecycle(main),
        # A rolling update takes a Pod from its Service at once, unless the manifest has a hook.
        "preStopSeconds": 0,
        "security": security,
        "volumes": _read_volumes(pod, main),
        "sidecars": {},
        "initContainers": {},
        "scheduling": {"spread": False, "topologySpread": _read_spread(pod)},
        "annotations": dict(deployment["metadata"].get("annotations") or {}),
        "podAnnotations": dict((template.get("metadata") or {}).get("annotations") or {}),
    }
    _read_startup(settings)
    if secrets := pod.get("imagePullSecrets"):
        settings["image"]["pullSecrets"] = [secret.get("name") for secret in secrets]
    for container in pod.get("initContainers") or ():
        kind = "sidecars" if container.get("restartPolicy") == "Always" else "initContainers"
        settings[kind][container["name"]] = read_extra_container(container, security)
    _read_table(_DEPLOYMENT, spec, settings)
    _read_table(_POD, pod, settings)
    return settings


def _read_table(
    table: tuple[tuple[KeyPath, KeyPath, Any], ...], fields: Mapping[str, Any], settings: Settings
) -> None:
    for field, setting, default in table:
        value: Any = fields
        for key in field:
            value = value.get(key) if isinstance(value, Mapping) else None
        mapping = settings
        for key in setting[:-1]:
            mapping = mapping.setdefault(str(key), {})
        mapping[str(setting[-1])] = default if value is None else value


def _read_startup(settings: Settings) -> None:
    """Sets `startupSeconds`, which the startup probe's number of tries is computed from."""
    startup = settings["probes"]["startup"]
    if startup is not None:
        tries = startup.pop("failureThreshold", 3)
        settings["startupSeconds"] = tries * startup.get("periodSeconds", 10)


def _read_spread(pod: Mapping[str, Any]) -> Settings:
    """Returns the topology spread constraints that have the selector of the model."""
    return {
        str(constraint.get("topologyKey")): {
            setting: constraint[field] for field, setting in _SPREAD.items() if field in constraint
        }
        for constraint in pod.get("topologySpreadConstraints") or ()
    }


def _read_volumes(pod: Mapping[str, Any], main: Mapping[str, Any]) -> Settings:
    mounts: dict[str, Settings] = {}
    for name, mount in read_mounts(main):
        mounts.setdefault(name, mount)
    volumes: Settings = {}
    for volume in pod.get("volumes") or ():
        name = str(volume.get("name"))
        # `config.files` renders this one.
        settings = {} if name == CONFIG_VOLUME else _read_source(volume)
        if settings and name in mounts:
            mount = mounts[name]
            settings["mountPath"] = mount["path"]
            settings |= {key: mount[key] for key in ("readOnly", "subPath") if key in mount}
        if settings:
            volumes[name] = settings
    return volumes


def _read_source(volume: Mapping[str, Any]) -> Settings:
    """Returns the source of a volume; {} for one that no setting covers."""
    for source in ("nfs", "csi", "projected"):
        if source in volume:
            fields = dict(volume[source])
            mode = fields.pop("defaultMode", None) if source == "projected" else None
            return {source: fields} if mode is None else {source: fields, "defaultMode": mode}
    if "emptyDir" in volume:
        return {"emptyDir": dict(volume["emptyDir"])}
    if claim := volume.get("persistentVolumeClaim"):
        return {"claim": claim.get("claimName")}
    if host := volume.get("hostPath"):
        kind = {"hostPathType": host["type"]} if host.get("type") else {}
        return {"hostPath": host.get("path"), **kind}
    if image := volume.get("image"):
        policy = {"pullPolicy": image["pullPolicy"]} if image.get("pullPolicy") else {}
        return {"image": image.get("reference"), **policy}
    if ephemeral := volume.get("ephemeral"):
        template = (ephemeral.get("volumeClaimTemplate") or {}).get("spec") or {}
        return {"ephemeral": read_claim(template)}
    for source, name in (("configMap", "name"), ("secret", "secretName")):
        if files := volume.get(source):
            settings: Settings = {source: files.get(name)}
            if items := files.get("items"):
                settings["items"] = {item.get("key"): item.get("path") for item in items}
            return settings | {k: files[k] for k in ("defaultMode", "optional") if k in files}
    return {}


def read_claim(spec: Mapping[str, Any]) -> Settings:
    """Returns the settings of a new claim from the spec of a PersistentVolumeClaim."""
    requests = (spec.get("resources") or {}).get("requests") or {}
    settings: Settings = {"size": requests.get("storage")}
    if spec.get("storageClassName"):
        settings["storageClass"] = spec["storageClassName"]
    if spec.get("accessModes"):
        settings["accessModes"] = list(spec["accessModes"])
    return settings
