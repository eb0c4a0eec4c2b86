"""Names and forms that people know from Kubernetes, Helm and Compose, with the setting to use.

They resemble no setting, so a suggestion by spelling would name a wrong one or none.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from framework.core.images import parse_image

_MANIFEST = (
    "this is a manifest of Kubernetes: `make import FILE=...` makes models of Deployments, and the "
    "setting objects takes other kinds"
)
_PRESENT = "it is on while it is set, and null removes an inherited one"
# By settings class ("Model" also for sidecars and init containers) and key.
_SETTINGS: Mapping[str, Mapping[str, str]] = {
    "Model": {
        **dict.fromkeys(("apiVersion", "kind", "spec"), _MANIFEST),
        "metadata": "use labels, annotations and podAnnotations",
        **{
            name: f"use scheduling.{name}"
            for name in (
                "affinity", "hostIPC", "hostNetwork", "hostPID", "nodeSelector", "tolerations",
            )
        },
        "priorityClassName": "use scheduling.priorityClass",
        "runtimeClassName": "use scheduling.runtimeClass",
        "schedulerName": "use scheduling.scheduler",
        "topologySpreadConstraints": "use scheduling.topologySpread",
        **dict.fromkeys(("liveness", "livenessProbe"), "use probes.liveness"),
        **dict.fromkeys(("startup", "startupProbe"), "use probes.startup"),
        **dict.fromkeys(
            ("healthCheck", "healthcheck", "readiness", "readinessProbe"), "use probes.readiness"
        ),
        "imagePullPolicy": "use image.pullPolicy",
        "imagePullSecrets": "use image.pullSecrets, a list of names",
        "volumeMounts": "use mountPath of the entry in volumes",
        **{
            name: f"use rollout.{name}"
            for name in (
                "maxSurge", "maxUnavailable", "minReadySeconds", "progressDeadlineSeconds",
                "revisionHistoryLimit", "strategy",
            )
        },
        **dict.fromkeys(("podSecurityContext", "securityContext"), "use security"),
        "serviceAccountName": "use serviceAccount.name",
        **{name: f"use resources.{name}" for name in ("limits", "requests")},
        **{name: f"use resources.requests.{name}" for name in ("cpu", "memory")},
        "gpu": "use gpus, or resources.limits",
        **dict.fromkeys(("hpa", "horizontalPodAutoscaler"), "use autoscaling"),
        **{name: f"use autoscaling.{name}" for name in ("maxReplicas", "minReplicas")},
        "containers": "use sidecars, beside the container that the model itself describes",
        "namespace": "the environment decides it, in its environment.yaml",
        **dict.fromkeys(("pdb", "podDisruptionBudget"), "use disruptionBudget"),
        **dict.fromkeys(("env_file", "extraEnv", "extraEnvs"), "use env"),
        "entrypoint": "use command",
        "deploy": "use replicas and resources",
        "extends": "use profiles",
    },
    "Autoscaling": {
        "enabled": _PRESENT,
        "targetCPUUtilizationPercentage": "use cpu",
        "targetMemoryUtilizationPercentage": "use memory",
    },
    "Image": {"name": "use repository"},
    "Ingress": {"enabled": _PRESENT, "hosts": "use host", "tls": "use tlsSecret"},
    "NetworkPolicy": {"enabled": _PRESENT},
    "DisruptionBudget": {"enabled": _PRESENT},
    "Probe": {"path": "use httpGet.path", "port": "use httpGet.port, or tcpSocket.port"},
    "Resources": {
        "cpu": "use requests.cpu or limits.cpu",
        "memory": "use requests.memory or limits.memory",
        **dict.fromkeys(("gpu", "nvidia.com/gpu"), 'use limits, as in {nvidia.com/gpu: 1}'),
    },
    "Rollout": {
        "type": "use strategy",
        "rollingUpdate": "use maxSurge and maxUnavailable",
    },
    "ServiceAccount": {"create": "one is created unless name is set"},
    "Service": {"port": "use ports of the model, as in {http: {containerPort: 8080, servicePort: "
                        "80}}"},
    "Volume": {"persistentVolumeClaim": "use claim", "name": "the key of the entry is its name"},
}  # fmt: skip
_LIKE_MODEL = ("Container", "Sidecar", "ServingContainer")
# Examples of settings that are mappings here and lists or single values elsewhere.
EXAMPLES: Mapping[str, str] = {
    "annotations": "{example.com/contact: nlp}",
    "env": "{LOG_LEVEL: info}",
    "initContainers": "{fetch: {image: ...}}",
    "image": "{repository: ..., tag: ...}",
    "labels": "{tier: critical}",
    "liveness": "{httpGet: {path: /health}}",
    "ports": "{http: 8080}",
    "readiness": "{httpGet: {path: /health}}",
    "resources": "{requests: {cpu: 2, memory: 4Gi}}",
    "sidecars": "{proxy: {image: ...}}",
    "startup": "{httpGet: {path: /health}}",
    "volumes": "{cache: {emptyDir: {}, mountPath: /data}}",
}
# The same for an entry below a setting.
_EXAMPLES_BELOW: Mapping[str, str] = {"ports": "{containerPort: 8080, servicePort: 80}, or 8080"}
_SERVICE_PORT = "{port: 80, targetPort: http}, or 80"


def find_remedy(owner: str, key: str) -> str:
    """Returns what to write in place of a key that is not a setting of the class `owner`."""
    return _SETTINGS.get("Model" if owner in _LIKE_MODEL else owner, {}).get(key, "")


def find_example(path: tuple[str | int, ...], value: Any) -> str:
    """Returns an example of the mapping that is expected at a path; "" where none is needed."""
    if path[-1:] == ("image",) and isinstance(value, str):
        image = parse_image(value)
        version = f'digest: "{image.digest}"' if image.digest else f'tag: "{image.tag or "..."}"'
        return f"{{repository: {image.repository}, {version}}}"
    if path[-2:-1] == ("ports",) and str(path[0]) in ("service", "services"):
        return _SERVICE_PORT
    if path[-2:-1] and (below := _EXAMPLES_BELOW.get(str(path[-2]))):
        return below
    return EXAMPLES.get(str(path[-1]), "") if path else ""
