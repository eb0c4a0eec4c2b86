"""Reads the settings of a model from a Deployment: the inverse of framework/kinds/pod.py."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from framework.core.diagnostics import KeyPath
from framework.edits.importing.config_files import find_config_mount
from framework.edits.importing.containers import (
    Settings,
    list_containers,
    name_mounts,
    read_extra_container,
    read_image,
    read_lifecycle,
    read_mounts,
    read_probes,
    read_process,
    read_security,
    read_sidecar,
)
from framework.settings.probes import guaranteed_seconds
from framework.settings.reserved import CONFIG_VOLUME, MODEL_CONTAINER, config_volume

# A field of the Deployment or of the Pod, its setting, and the default of Kubernetes. To read
# another field, add a line.
_DEPLOYMENT: tuple[tuple[KeyPath, KeyPath, Any], ...] = (
    (("replicas",), ("replicas",), 1),
    (("strategy", "type"), ("rollout", "strategy"), "RollingUpdate"),
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
    """Returns the settings of a translated Deployment; the container `model` is the model's."""
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
        # Without a preStop hook in the manifest, Kubernetes stops the container at once.
        "preStopSeconds": 0,
        "security": security,
        "sidecars": {},
        "initContainers": {},
        "pod": {
            "hostAliases": {
                alias.get("ip"): alias.get("hostnames") for alias in pod.get("hostAliases") or ()
            },
            "resourceClaims": {
                claim.get("name"): {key: claim[key] for key in claim if key != "name"}
                for claim in pod.get("resourceClaims") or ()
            },
        },
        "scheduling": {"spread": False, "topologySpread": _read_spread(pod)},
        "annotations": dict(deployment["metadata"].get("annotations") or {}),
        "podAnnotations": dict((template.get("metadata") or {}).get("annotations") or {}),
    }
    _read_startup(settings)
    _read_pre_stop(settings)
    if secrets := pod.get("imagePullSecrets"):
        settings["image"]["pullSecrets"] = [secret.get("name") for secret in secrets]
    for container in pod.get("initContainers") or ():
        if container.get("restartPolicy") == "Always":
            settings["sidecars"][container["name"]] = read_sidecar(container, main)
        else:
            settings["initContainers"][container["name"]] = read_extra_container(container, main)
    for container in pod["containers"]:
        if container is not main:
            settings["sidecars"][container["name"]] = read_sidecar(container, main)
    _read_volumes(pod, main, settings)
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
    """Sets `startupSeconds`; the framework computes `failureThreshold` from it.

    60 tries, 5 seconds apart, are 295 seconds. A single try leaves no time to start, which
    `startupSeconds` cannot say, so its `failureThreshold` stays.
    """
    startup = settings["probes"]["startup"]
    if startup is not None:
        tries = startup.get("failureThreshold", 3)
        seconds = guaranteed_seconds(tries, startup.get("periodSeconds", 10))
        settings["startupSeconds"] = seconds or None
        if seconds:
            startup.pop("failureThreshold", None)
    elif settings["probes"]["readiness"] is not None:
        # Without this, the readiness probe would be copied.
        settings["probes"]["startup"] = False


def _read_pre_stop(settings: Settings) -> None:
    """Sets `preStopSeconds`, if the preStop hook only sleeps."""
    hook = settings["lifecycle"].get("preStop", {})
    if hook.keys() == {"sleepSeconds"}:
        settings["preStopSeconds"] = hook["sleepSeconds"]
        del settings["lifecycle"]["preStop"]


def _read_spread(pod: Mapping[str, Any]) -> Settings:
    """Returns the topology spread constraints that have the selector of the model."""
    return {
        str(constraint.get("topologyKey")): {
            setting: constraint[field] for field, setting in _SPREAD.items() if field in constraint
        }
        for constraint in pod.get("topologySpreadConstraints") or ()
    }


def _read_volumes(pod: Mapping[str, Any], main: Mapping[str, Any], settings: Settings) -> None:
    """Adds `volumes`, each with its first mount, and `mounts` with the others."""
    mounts: dict[str, Settings] = {}
    others: list[tuple[str, Settings]] = []
    folder = (find_config_mount(main) or {}).get("mountPath")
    reserved = {config_volume(str(container["name"])) for container in list_containers(pod)}
    for name, mount in read_mounts(main):
        if name == CONFIG_VOLUME and mount["path"] == folder:
            continue
        if name in {*mounts, *reserved} or mount.keys() & {"subPathExpr", "mountPropagation"}:
            others.append((name, mount))
        else:
            mounts[name] = mount
    settings["mounts"] = name_mounts(others)
    mounted = {name for c in list_containers(pod) for name, _ in read_mounts(c)}
    settings["volumes"] = volumes = {}
    for volume in pod.get("volumes") or ():
        name = str(volume.get("name"))
        # `config.files` renders the volume of the ConfigMap.
        if name in reserved or not (source := _read_source(volume)):
            continue
        if name in mounts:
            mount = mounts[name]
            source["mountPath"] = mount["path"]
            source |= {key: mount[key] for key in ("readOnly", "subPath") if key in mount}
        if name not in mounted:
            source["injected"] = True
        volumes[name] = source


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
