"""Brings manifests into one form, so that two that mean the same are equal.

Drops fields with the API server's default, and empty fields. Copies into each container what it
inherits from its Pod. The types of fields come from the same table as for patches.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from framework.core.field_paths import ROOT, FieldPath
from framework.core.images import parse_image
from framework.core.quantities import quantity_value
from framework.plan.patch.field_types import FieldType

# From the defaulting functions of Kubernetes, pkg/apis/*/v1/defaults.go, by the definition that has
# the field. `kubectl get -o yaml` prints them, manifests leave them out.
_DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "DeploymentSpec": {
        "replicas": 1, "revisionHistoryLimit": 10, "progressDeadlineSeconds": 600,
        "minReadySeconds": 0, "paused": False,
    },
    "DeploymentStrategy": {"type": "RollingUpdate"},
    "RollingUpdateDeployment": {"maxSurge": "25%", "maxUnavailable": "25%"},
    "PodSpec": {
        "restartPolicy": "Always", "dnsPolicy": "ClusterFirst",
        "schedulerName": "default-scheduler",
        "terminationGracePeriodSeconds": 30, "enableServiceLinks": True, "hostNetwork": False,
        "hostPID": False, "hostIPC": False, "shareProcessNamespace": False,
        # The admission plugin ServiceAccount fills these in.
        "serviceAccountName": "default", "automountServiceAccountToken": True,
    },
    "PodSecurityContext": {"fsGroupChangePolicy": "Always", "runAsNonRoot": False},
    "Container": {
        "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File",
        "stdin": False, "stdinOnce": False, "tty": False,
    },
    "ContainerPort": {"protocol": "TCP", "hostPort": 0},
    # Without allowPrivilegeEscalation, a process may gain privileges; the others are false.
    "SecurityContext": {
        "runAsNonRoot": False, "readOnlyRootFilesystem": False, "privileged": False,
        "allowPrivilegeEscalation": True, "procMount": "Default",
    },
    # Unless the kubelet runs with --seccomp-default.
    "SeccompProfile": {"type": "Unconfined"},
    "Probe": {
        "initialDelaySeconds": 0, "periodSeconds": 10, "timeoutSeconds": 1, "successThreshold": 1,
        "failureThreshold": 3,
    },
    "HTTPGetAction": {"path": "/", "scheme": "HTTP"},
    "GRPCAction": {"service": ""},
    "VolumeMount": {"readOnly": False, "subPath": ""},
    "EmptyDirVolumeSource": {"medium": ""},
    "ConfigMapVolumeSource": {"defaultMode": 0o644, "optional": False},
    "SecretVolumeSource": {"defaultMode": 0o644, "optional": False},
    "ProjectedVolumeSource": {"defaultMode": 0o644},
    "DownwardAPIVolumeSource": {"defaultMode": 0o644},
    "HostPathVolumeSource": {"type": ""},
    "PersistentVolumeClaimVolumeSource": {"readOnly": False},
    "NFSVolumeSource": {"readOnly": False},
    "CSIVolumeSource": {"readOnly": False},
    "ObjectFieldSelector": {"apiVersion": "v1"},
    "ResourceFieldSelector": {"divisor": "0"},
    "SecretKeySelector": {"optional": False},
    "ConfigMapKeySelector": {"optional": False},
    "Toleration": {"operator": "Equal", "value": ""},
    "TopologySpreadConstraint": {"nodeAffinityPolicy": "Honor", "nodeTaintsPolicy": "Ignore"},
    "ServiceSpec": {
        "type": "ClusterIP", "sessionAffinity": "None", "internalTrafficPolicy": "Cluster",
        "externalTrafficPolicy": "Cluster", "ipFamilyPolicy": "SingleStack",
        "allocateLoadBalancerNodePorts": True, "publishNotReadyAddresses": False,
        "healthCheckNodePort": 0,
    },
    "ServicePort": {"protocol": "TCP", "nodePort": 0},
    "PersistentVolumeClaimSpec": {"volumeMode": "Filesystem"},
    "NetworkPolicyPort": {"protocol": "TCP"},
    "HorizontalPodAutoscalerSpec": {"minReplicas": 1},
    "ServiceAccount": {"automountServiceAccountToken": True},
    "ConfigMap": {"immutable": False},
}  # fmt: skip
# In these fields an empty mapping or list has a meaning. In any other, it means "not set".
_MEANINGFUL_WHEN_EMPTY = frozenset(
    {"emptyDir", "podSelector", "namespaceSelector", "ingress", "egress", "from", "to"}
)
# In these an empty text has a meaning, as in each required field. In any other field it means "not
# set": the server does not store it. A claim with the class "" takes only volumes without a class.
_MEANINGFUL_TEXTS = frozenset(
    {
        ("PersistentVolumeClaimSpec", "storageClassName"),
        ("PersistentVolumeClaimSpec", "volumeAttributesClassName"),
        ("TypedLocalObjectReference", "apiGroup"),
        ("TypedObjectReference", "apiGroup"),
    }
)
# What containers inherit from the securityContext of their Pod.
_INHERITED = (
    "runAsNonRoot", "runAsUser", "runAsGroup", "seccompProfile", "seLinuxOptions",
    "appArmorProfile", "windowsOptions",
)  # fmt: skip


def normalize(obj: Mapping[str, Any]) -> dict[str, Any]:
    """Returns an equal object without defaults. Objects of unknown kinds stay as they are."""
    type_ = FieldType(str(obj["kind"]))
    normal = _normalize(obj, type_) if type_.fields else dict(obj)
    return {"apiVersion": obj.get("apiVersion"), "kind": obj["kind"], **normal}


def _normalize(value: Any, type_: FieldType) -> Any:
    if type_.name == "list" and type_.items and isinstance(value, list):
        return [_normalize(item, type_.items) for item in value]
    if type_.name == "map" or not type_.fields or not isinstance(value, Mapping):
        return value
    if fill := _FILLS.get(type_.name):
        value = fill(value)
    defaults, required = _DEFAULTS.get(type_.name, {}), type_.required
    normal = {}
    for key, child in value.items():
        child_type = type_.fields.get(key, FieldType("object"))
        child = _normalize(child, child_type)
        is_empty = (child in ({}, []) and key not in _MEANINGFUL_WHEN_EMPTY) or (
            child == "" and key not in required and (type_.name, key) not in _MEANINGFUL_TEXTS
        )
        if not is_empty and not (key in defaults and is_equal(child, defaults[key], child_type)):
            normal[key] = child
    return normal


_SINGLE_VALUES = frozenset(
    {"string", "boolean", "int32", "int64", "Quantity", "IntOrString", "Time"}
)


def find_shape_errors(obj: Mapping[str, Any]) -> Iterator[str]:
    """Yields an error for each field of an object that does not have the type of the API.

    The other functions expect correct mappings and lists. Wrong single values are found later, by
    the validation of the settings.
    """
    for path, expected in _find_misshapen(obj, FieldType(str(obj["kind"])), ROOT):
        yield f"{path} has the wrong type; expected {expected}"


def _find_misshapen(
    value: Any, type_: FieldType, path: FieldPath
) -> Iterator[tuple[FieldPath, str]]:
    if type_.name == "list":
        if not isinstance(value, list):
            yield path, "a list"
        elif type_.items:
            for index, item in enumerate(value):
                yield from _find_misshapen(item, type_.items, path.child(index))
    elif type_.fields or type_.name in ("map", "object"):
        if not isinstance(value, Mapping):
            yield path, "a mapping"
            return
        for key, child in value.items():
            if child_type := type_.child(key):
                yield from _find_misshapen(child, child_type, path.child(key))
    elif isinstance(value, Mapping | list) and type_.name in _SINGLE_VALUES:
        yield path, "a single value"


def is_equal(value: Any, other: Any, type_: FieldType) -> bool:
    """Returns True if two values of one type mean the same: `1Gi` and `1024Mi`, `a` and `[a]`."""
    if isinstance(value, bool) != isinstance(other, bool):
        return False
    if type_.name == "Quantity":
        if isinstance(value, Mapping) or isinstance(other, Mapping):
            return bool(value == other)
        return str(value) == str(other) or quantity_value(str(value)) == quantity_value(str(other))
    if type_.name == "map" and isinstance(value, Mapping) and isinstance(other, Mapping):
        items = type_.items or FieldType("object")
        return value.keys() == other.keys() and all(
            is_equal(value[key], other[key], items) for key in value
        )
    if type_.name == "IntOrString":
        return str(value) == str(other)
    return bool(value == other)


def canonical_image(reference: str) -> str:
    """Returns an image with its registry and tag, as a container runtime reads it.

    `nginx` is `docker.io/library/nginx:latest`.
    """
    image = parse_image(reference)
    tag = image.tag or ("" if image.digest else "latest")
    name = f"{image.full_repository}:{tag}" if tag else image.full_repository
    return f"{name}@{image.digest}" if image.digest else name


def default_pull_policy(reference: str) -> str:
    """Returns the policy that the API server fills in for an image."""
    image = canonical_image(reference)
    return "Always" if image.endswith(":latest") else "IfNotPresent"


def _fill_container(container: Mapping[str, Any]) -> Mapping[str, Any]:
    """Completes the image, and the requests: a missing request equals the limit."""
    filled = dict(container)
    image = str(container.get("image", ""))
    if image:
        filled["image"] = canonical_image(image)
        if filled.get("imagePullPolicy") == default_pull_policy(image):
            del filled["imagePullPolicy"]
    resources = container.get("resources") or {}
    if limits := resources.get("limits"):
        requests = {**limits, **(resources.get("requests") or {})}
        filled["resources"] = {**resources, "requests": requests}
    if variables := container.get("env"):
        # If two variables have one name, containers see the last.
        filled["env"] = list({variable.get("name"): variable for variable in variables}.values())
    return filled


def _fill_pod(pod: Mapping[str, Any]) -> Mapping[str, Any]:
    """Writes the security context that the containers inherit into each of them."""
    filled = dict(pod)
    # The old name of the field, which the server writes beside the new one.
    if account := filled.pop("serviceAccount", None):
        filled.setdefault("serviceAccountName", account)
    context = pod.get("securityContext") or {}
    inherited = {key: context[key] for key in _INHERITED if key in context}
    filled["securityContext"] = {k: v for k, v in context.items() if k not in inherited}
    for kind in ("containers", "initContainers"):
        if pod.get(kind):
            filled[kind] = [
                {**c, "securityContext": {**inherited, **(c.get("securityContext") or {})}}
                for c in pod[kind]
            ]
    if "priorityClassName" in pod:
        # The admission plugin Priority computes both from the class.
        filled.pop("priority", None)
        filled.pop("preemptionPolicy", None)
    return filled


def _fill_policy(spec: Mapping[str, Any]) -> Mapping[str, Any]:
    """Splits the rules of a NetworkPolicy, so that each has one peer, and sorts them.

    Rules are alternatives, and so are the peers of a rule: two peers in one rule allow the same as
    two rules.
    """
    filled = dict(spec)
    for direction, peers in (("ingress", "from"), ("egress", "to")):
        if direction in spec:
            rules = [
                {**rule, peers: [peer]} if peer is not None else rule
                for rule in spec[direction] or ()
                for peer in (rule.get(peers) or [None])
            ]
            filled[direction] = sorted(rules, key=lambda rule: json.dumps(rule, sort_keys=True))
    if "policyTypes" in spec:
        filled["policyTypes"] = sorted(spec["policyTypes"])
    return filled


def _fill_value(item: Mapping[str, Any]) -> Mapping[str, Any]:
    """Completes the value: the server stores "" for a header or sysctl that is written without."""
    return {"value": "", **item}


def _drop_behavior_defaults(behavior: Mapping[str, Any]) -> Mapping[str, Any]:
    """Removes what the server adds to an autoscaler that has a behavior."""
    filled: dict[str, Any] = {}
    for direction, rules in behavior.items():
        defaults = _SCALING_DEFAULTS.get(direction, {})
        own = {k: v for k, v in (rules or {}).items() if k not in defaults or v != defaults[k]}
        filled |= {direction: own} if own else {}
    return filled


_PERCENT = {"type": "Percent", "value": 100, "periodSeconds": 15}
_SCALING_DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "scaleUp": {
        "stabilizationWindowSeconds": 0, "selectPolicy": "Max",
        "policies": [{"type": "Pods", "value": 4, "periodSeconds": 15}, _PERCENT],
    },
    "scaleDown": {"selectPolicy": "Max", "policies": [_PERCENT]},
}  # fmt: skip
_FILLS: Mapping[str, Callable[[Mapping[str, Any]], Mapping[str, Any]]] = {
    "Container": _fill_container,
    "PodSpec": _fill_pod,
    "HTTPHeader": _fill_value,
    "Sysctl": _fill_value,
    "HorizontalPodAutoscalerBehavior": _drop_behavior_defaults,
    "NetworkPolicySpec": _fill_policy,
}
