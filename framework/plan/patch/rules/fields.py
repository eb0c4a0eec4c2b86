"""Rules for single values that the OpenAPI document of the API server does not contain.

They follow `pkg/apis/*/validation` of Kubernetes. Where the server takes "" for an absent value, a
rule is `optional`.
"""

from __future__ import annotations

import base64
import binascii
import re
from ipaddress import ip_network
from typing import Any, get_args
from zoneinfo import available_timezones

from framework.core.quantities import parse_quantity
from framework.plan.patch.rules.base import FieldRule, choice, form_of, number, optional, text
from framework.settings.values import (
    AnnotationKey,
    ConfigKey,
    EnvName,
    EnvPrefix,
    FilePath,
    Form,
    HeaderName,
    HostName,
    IpAddress,
    LabelKey,
    LabelValue,
    ObjectName,
    PodField,
    RelativePath,
    ResourceField,
    ShortName,
)


def _is_range(value: Any) -> bool:
    try:
        network = ip_network(value, strict=False)
    except ValueError:
        return not isinstance(value, str)
    # A mask in place of a length (`10.0.0.0/255.0.0.0`) is refused as well.
    return bool(re.fullmatch("[^/%]+/[0-9]{1,3}", value)) and network.version in (4, 6)


def _is_base64(value: Any) -> bool:
    try:
        base64.b64decode(str(value), validate=True)
    except binascii.Error:
        return False
    return True


def _pods_or_percent(most: int | None) -> FieldRule:
    """Returns the rule for a number of Pods, or a percentage up to `most`."""

    def accepts(value: Any) -> bool:
        if isinstance(value, int):
            return value >= 0
        match = re.fullmatch("([0-9]+)%", str(value))
        return match is not None and (most is None or int(match[1]) <= most)

    return FieldRule(accepts, 'a whole number, or a percentage such as "25%"')


_POD_FIELD: Form = get_args(PodField)[1]
LABEL_KEY, LABEL_VALUE = form_of(LabelKey), form_of(LabelValue)
OBJECT_NAME, SHORT_NAME = form_of(ObjectName), form_of(ShortName)
NOT_EMPTY = FieldRule(lambda value: value != "", "text that is not empty")
_FILE_PATH = form_of(FilePath)
_RELATIVE_PATH = form_of(RelativePath)
_PATH_WITHOUT_PARENT = text(Form(r"(?!(.*/)?\.\.(/|$))[\s\S]*", "a path without '..'"))
_PORT = number(1, 65535)
_PORT_NAME = "(?=.*[a-z])(?!.*--)[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_PORT_TEXT = text(
    Form(
        _PORT_NAME,
        "a port name: at most 15 lower-case letters, digits and '-', at least one of them a letter",
        15,
    )
)
_PORT_OR_NAME = FieldRule(
    lambda value: _PORT.accepts(value) and _PORT_TEXT.accepts(value),
    "a port from 1 to 65535, or the name of a port",
)
_MODE = number(0, 0o777)
_WEIGHT = number(1, 100)
_USER = number(0, 2**31 - 1)
_COUNT = number(0)
_BYTE = number(0, 255)
_ADDRESS = form_of(IpAddress)
_RANGE = FieldRule(_is_range, 'a range of addresses such as "10.0.0.0/8"')
_SYSCTL = r"[a-z0-9]([-_a-z0-9]*[a-z0-9])?"
# Names of metrics and roles, which are parts of the path of a request.
_PATH_SEGMENT = FieldRule(
    lambda value: (
        not isinstance(value, str)
        or bool(value not in ("", ".", "..") and not re.search("[/%]", value))
    ),
    "a name without '/' and '%'",
)
_FINALIZER = FieldRule(
    lambda value: (
        value in ("orphan", "foregroundDeletion", "kubernetes")
        or (LABEL_KEY.accepts(value) and "/" in value)
    ),
    "a name with a domain before it, such as example.com/a",
)
_SCHEDULE = FieldRule(
    lambda value: not isinstance(value, str) or _is_schedule(value),
    'a schedule of five parts such as "0 3 * * *"',
)
_TIME_ZONE = FieldRule(
    # A machine without a database of time zones has an empty set: then only "" is refused.
    lambda value: value in available_timezones() or bool(value and not available_timezones()),
    'a time zone such as "Europe/Berlin"',
)
_DOMAIN_PATH = text(
    Form(
        r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/[-A-Za-z0-9/_.~%!$&'()*+,;=:]+",
        "a name with a domain before it, such as example.com/a",
        63,
    )
)
_SIGNER = text(
    Form(
        r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)+"
        r"/[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*",
        "a signer with a domain before it, such as example.com/a",
        571,
    )
)
_SCHEDULE_RANGES = [(0, 59), (0, 23), (1, 31), (1, 12), (0, 7)]
_SCHEDULE_NAMES = {
    3: ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"),
    4: ("sun", "mon", "tue", "wed", "thu", "fri", "sat"),
}


def _is_schedule(value: str) -> bool:
    """Returns True for what robfig/cron parses: five parts, or a word such as @daily."""
    if value.startswith("@"):
        return value in (
            "@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly",
        ) or bool(re.fullmatch(r"@every (\d+(\.\d+)?(h|m|s|ms|us|ns))+", value))  # fmt: skip
    parts = value.split()
    return len(parts) == len(_SCHEDULE_RANGES) and all(
        _is_schedule_part(item, position)
        for position, part in enumerate(parts)
        for item in part.split(",")
    )


def _is_schedule_part(item: str, position: int) -> bool:
    low, high = _SCHEDULE_RANGES[position]
    match = re.fullmatch(r"(\*|\?|(\w+)(-(\w+))?)(/(\d+))?", item)
    if match is None or match[6] == "0":
        return False
    if match[2] is None:
        return True
    names = _SCHEDULE_NAMES.get(position, ())
    numbers = [
        names.index(name.lower()) + low if name.lower() in names else name
        for name in (match[2], match[4] or match[2])
    ]
    if not all(isinstance(n, int) or n.isdecimal() for n in numbers):
        return False
    first, last = (int(n) for n in numbers)
    return low <= first <= last <= min(high, 6 if position == 4 else high)


# Rules by definition and field. For a list they hold for each item.
FIELD_RULES: dict[tuple[str, str], FieldRule] = {
    ("ClientIPConfig", "timeoutSeconds"): number(1, 86400),
    ("CSIVolumeSource", "driver"): text(
        Form(
            "[A-Za-z0-9]([-A-Za-z0-9.]*[A-Za-z0-9])?",
            "the name of a CSI driver: letters, digits, '-' and '.', at most 63",
            63,
        )
    ),
    ("ClusterTrustBundleProjection", "path"): _FILE_PATH,
    ("ClusterTrustBundleProjection", "signerName"): _SIGNER,
    ("ConfigMapEnvSource", "name"): OBJECT_NAME,
    ("ConfigMapKeySelector", "key"): form_of(ConfigKey),
    ("ConfigMapProjection", "name"): OBJECT_NAME,
    ("ConfigMapVolumeSource", "defaultMode"): _MODE,
    ("Container", "name"): SHORT_NAME,
    ("Container", "image"): text(Form(r"\S+", "an image, without spaces")),
    ("Container", "restartPolicy"): choice("Always", "Never", "OnFailure"),
    ("ContainerPort", "containerPort"): _PORT,
    ("ContainerPort", "hostPort"): number(0, 65535),
    ("ContainerPort", "name"): optional(_PORT_TEXT),
    ("ContainerResizePolicy", "resourceName"): choice("cpu", "memory"),
    ("ContainerResizePolicy", "restartPolicy"): choice("NotRequired", "RestartContainer"),
    ("ContainerResourceMetricSource", "container"): SHORT_NAME,
    ("ContainerResourceMetricSource", "name"): choice("cpu", "memory", "ephemeral-storage"),
    ("ContainerRestartRule", "action"): choice("Restart", "RestartAllContainers"),
    ("ContainerRestartRuleOnExitCodes", "operator"): choice("In", "NotIn"),
    ("CronJobSpec", "failedJobsHistoryLimit"): _COUNT,
    ("CronJobSpec", "schedule"): _SCHEDULE,
    ("CronJobSpec", "startingDeadlineSeconds"): _COUNT,
    ("CronJobSpec", "successfulJobsHistoryLimit"): _COUNT,
    ("CronJobSpec", "timeZone"): _TIME_ZONE,
    ("CrossVersionObjectReference", "kind"): _PATH_SEGMENT,
    ("CrossVersionObjectReference", "name"): _PATH_SEGMENT,
    ("DaemonSetSpec", "minReadySeconds"): _COUNT,
    ("DaemonSetSpec", "revisionHistoryLimit"): _COUNT,
    ("DeploymentSpec", "minReadySeconds"): _COUNT,
    ("DeploymentSpec", "progressDeadlineSeconds"): _COUNT,
    ("DeploymentSpec", "replicas"): _COUNT,
    ("DeploymentSpec", "revisionHistoryLimit"): _COUNT,
    ("DownwardAPIVolumeFile", "path"): _FILE_PATH,
    ("DownwardAPIVolumeFile", "mode"): _MODE,
    ("DownwardAPIVolumeSource", "defaultMode"): _MODE,
    ("EnvFromSource", "prefix"): form_of(EnvPrefix),
    ("EnvVar", "name"): form_of(EnvName),
    ("FCVolumeSource", "lun"): _BYTE,
    ("FileKeySelector", "key"): form_of(EnvName),
    ("FileKeySelector", "path"): text(
        Form(r"(?!/|\.\.(/|$))(?!.*/\.\.(/|$))[\s\S]+", "a path below the volume, without '..'")
    ),
    ("FileKeySelector", "volumeName"): SHORT_NAME,
    ("GRPCAction", "port"): _PORT,
    ("GitRepoVolumeSource", "directory"): _RELATIVE_PATH,
    ("HPAScalingPolicy", "periodSeconds"): number(1, 1800),
    ("HPAScalingPolicy", "type"): choice("Pods", "Percent"),
    ("HPAScalingPolicy", "value"): number(1),
    ("HPAScalingRules", "selectPolicy"): choice("Max", "Min", "Disabled"),
    ("HPAScalingRules", "stabilizationWindowSeconds"): number(0, 3600),
    ("HPAScalingRules", "tolerance"): FieldRule(
        lambda value: (parse_quantity(str(value)) or 0) >= 0, "a quantity that is not negative"
    ),
    ("HTTPGetAction", "port"): _PORT_OR_NAME,
    ("HTTPHeader", "name"): form_of(HeaderName),
    ("HorizontalPodAutoscalerSpec", "maxReplicas"): number(1),
    ("HorizontalPodAutoscalerSpec", "minReplicas"): _COUNT,
    ("HostAlias", "hostnames"): OBJECT_NAME,
    ("HostAlias", "ip"): _ADDRESS,
    ("HostPathVolumeSource", "path"): _PATH_WITHOUT_PARENT,
    ("IPBlock", "cidr"): _RANGE,
    ("IPBlock", "except"): _RANGE,
    ("IngressRule", "host"): optional(form_of(HostName)),
    ("IngressServiceBackend", "name"): SHORT_NAME,
    ("IngressSpec", "ingressClassName"): OBJECT_NAME,
    ("IngressTLS", "hosts"): text(
        Form(
            r"(\*\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*",
            'a DNS name such as "chat.example.com"',
            253,
        )
    ),
    ("IngressTLS", "secretName"): optional(OBJECT_NAME),
    ("ISCSIVolumeSource", "lun"): _BYTE,
    ("JobSpec", "activeDeadlineSeconds"): _COUNT,
    ("JobSpec", "backoffLimit"): _COUNT,
    ("JobSpec", "backoffLimitPerIndex"): _COUNT,
    ("JobSpec", "completions"): _COUNT,
    ("JobSpec", "managedBy"): _DOMAIN_PATH,
    ("JobSpec", "maxFailedIndexes"): _COUNT,
    ("JobSpec", "parallelism"): _COUNT,
    ("JobSpec", "ttlSecondsAfterFinished"): _COUNT,
    ("KeyToPath", "key"): form_of(ConfigKey),
    ("KeyToPath", "mode"): _MODE,
    ("KeyToPath", "path"): _FILE_PATH,
    ("LabelSelectorRequirement", "key"): LABEL_KEY,
    ("LabelSelectorRequirement", "operator"): choice("In", "NotIn", "Exists", "DoesNotExist"),
    ("LabelSelectorRequirement", "values"): LABEL_VALUE,
    ("LocalObjectReference", "name"): OBJECT_NAME,
    ("MetricIdentifier", "name"): _PATH_SEGMENT,
    ("MetricSpec", "type"): choice("ContainerResource", "External", "Object", "Pods", "Resource"),
    ("MetricTarget", "averageUtilization"): number(1),
    ("MetricTarget", "type"): choice("Utilization", "Value", "AverageValue"),
    ("NFSVolumeSource", "path"): text(Form(r"/[\s\S]*", "an absolute path")),
    ("NFSVolumeSource", "server"): NOT_EMPTY,
    ("NetworkPolicyPort", "endPort"): _PORT,
    ("NetworkPolicyPort", "port"): _PORT_OR_NAME,
    ("NodeSelectorRequirement", "operator"): choice(
        "In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"
    ),
    ("ObjectFieldSelector", "fieldPath"): text(
        Form(
            # A file of a volume may have all labels; a variable has one value.
            rf"{_POD_FIELD.pattern}|metadata\.(labels|annotations)",
            _POD_FIELD.expected,
        )
    ),
    # In a template, the server refuses the Pods only.
    ("ObjectMeta", "finalizers"): _FINALIZER,
    ("PersistentVolumeClaimSpec", "storageClassName"): optional(OBJECT_NAME),
    ("PersistentVolumeClaimSpec", "volumeAttributesClassName"): optional(OBJECT_NAME),
    ("PodAffinityTerm", "matchLabelKeys"): LABEL_KEY,
    ("PodAffinityTerm", "mismatchLabelKeys"): LABEL_KEY,
    ("PodAffinityTerm", "namespaces"): SHORT_NAME,
    ("PodAffinityTerm", "topologyKey"): LABEL_KEY,
    ("PodDisruptionBudgetSpec", "maxUnavailable"): _pods_or_percent(100),
    ("PodDisruptionBudgetSpec", "minAvailable"): _pods_or_percent(100),
    ("PodCertificateProjection", "certificateChainPath"): optional(_FILE_PATH),
    ("PodCertificateProjection", "credentialBundlePath"): optional(_FILE_PATH),
    ("PodCertificateProjection", "keyPath"): optional(_FILE_PATH),
    ("PodCertificateProjection", "keyType"): choice(
        "RSA3072", "RSA4096", "ECDSAP256", "ECDSAP384", "ECDSAP521", "ED25519"
    ),
    ("PodCertificateProjection", "maxExpirationSeconds"): number(3600, 91 * 86400),
    ("PodCertificateProjection", "signerName"): _SIGNER,
    ("PodDNSConfig", "nameservers"): _ADDRESS,
    ("PodDNSConfig", "searches"): text(
        Form(
            r"\.|[a-z0-9_]([-a-z0-9_]*[a-z0-9_])?(\.[a-z0-9_]([-a-z0-9_]*[a-z0-9_])?)*\.?",
            "a DNS name, at most 253 characters",
            254,
        )
    ),
    ("PodDNSConfigOption", "name"): NOT_EMPTY,
    ("PodFailurePolicyOnPodConditionsPattern", "status"): choice("True", "False", "Unknown"),
    ("PodFailurePolicyOnPodConditionsPattern", "type"): LABEL_KEY,
    ("PodOS", "name"): choice("linux", "windows"),
    ("PodReadinessGate", "conditionType"): LABEL_KEY,
    ("PodResourceClaim", "name"): SHORT_NAME,
    ("PodResourceClaim", "resourceClaimName"): OBJECT_NAME,
    ("PodResourceClaim", "resourceClaimTemplateName"): OBJECT_NAME,
    ("PodSchedulingGate", "name"): LABEL_KEY,
    ("PodSecurityContext", "fsGroup"): _USER,
    ("PodSecurityContext", "runAsGroup"): _USER,
    ("PodSecurityContext", "runAsUser"): _USER,
    ("PodSecurityContext", "seLinuxChangePolicy"): choice("Recursive", "MountOption"),
    ("PodSecurityContext", "supplementalGroups"): _USER,
    ("PodSpec", "activeDeadlineSeconds"): number(1, 2**31 - 1),
    ("PodSpec", "hostname"): optional(SHORT_NAME),
    ("PodSpec", "hostnameOverride"): text(
        Form(get_args(ObjectName)[1].pattern, "a DNS name, at most 64 characters", 64)
    ),
    ("PodSpec", "nodeName"): optional(OBJECT_NAME),
    ("PodSpec", "priorityClassName"): optional(OBJECT_NAME),
    ("PodSpec", "runtimeClassName"): OBJECT_NAME,
    ("PodSpec", "serviceAccountName"): optional(OBJECT_NAME),
    ("PodSpec", "subdomain"): optional(SHORT_NAME),
    ("PodSpec", "terminationGracePeriodSeconds"): _COUNT,
    ("PreferredSchedulingTerm", "weight"): _WEIGHT,
    ("Probe", "failureThreshold"): _COUNT,
    ("Probe", "initialDelaySeconds"): _COUNT,
    ("Probe", "periodSeconds"): _COUNT,
    ("Probe", "successThreshold"): _COUNT,
    ("Probe", "terminationGracePeriodSeconds"): number(1),
    ("Probe", "timeoutSeconds"): _COUNT,
    ("ProjectedVolumeSource", "defaultMode"): _MODE,
    ("ReplicationControllerSpec", "minReadySeconds"): _COUNT,
    ("ReplicationControllerSpec", "replicas"): _COUNT,
    ("ResourceClaim", "request"): optional(SHORT_NAME),
    ("ResourceFieldSelector", "resource"): form_of(ResourceField),
    ("ResourceMetricSource", "name"): NOT_EMPTY,
    # The server takes "" as well and writes the group over it, which would replace the object again
    # and again: a RoleBinding cannot change its role.
    ("RoleRef", "apiGroup"): choice("rbac.authorization.k8s.io"),
    ("RoleRef", "kind"): choice("Role", "ClusterRole"),
    ("RoleRef", "name"): _PATH_SEGMENT,
    ("RollingUpdateDaemonSet", "maxSurge"): _pods_or_percent(100),
    ("RollingUpdateDaemonSet", "maxUnavailable"): _pods_or_percent(100),
    ("RollingUpdateDeployment", "maxSurge"): _pods_or_percent(None),
    ("RollingUpdateDeployment", "maxUnavailable"): _pods_or_percent(100),
    ("RollingUpdateStatefulSetStrategy", "maxUnavailable"): _pods_or_percent(100),
    ("RollingUpdateStatefulSetStrategy", "partition"): _COUNT,
    ("SecretEnvSource", "name"): OBJECT_NAME,
    ("SecretKeySelector", "key"): form_of(ConfigKey),
    ("SecretProjection", "name"): OBJECT_NAME,
    ("SecretVolumeSource", "defaultMode"): _MODE,
    ("SecurityContext", "runAsGroup"): _USER,
    ("SecurityContext", "runAsUser"): _USER,
    ("ServiceAccountTokenProjection", "expirationSeconds"): number(600, 2**32),
    ("ServiceAccountTokenProjection", "path"): _FILE_PATH,
    ("ServiceBackendPort", "name"): optional(_PORT_TEXT),
    ("ServiceBackendPort", "number"): number(0, 65535),
    ("ServicePort", "appProtocol"): LABEL_KEY,
    ("ServicePort", "name"): optional(SHORT_NAME),
    ("ServicePort", "nodePort"): number(0, 65535),
    ("ServicePort", "port"): _PORT,
    ("ServicePort", "targetPort"): FieldRule(
        # The server replaces 0 and "" by the port itself.
        lambda value: value in (0, "") or _PORT_OR_NAME.accepts(value),
        _PORT_OR_NAME.expected,
    ),
    ("ServiceSpec", "clusterIP"): FieldRule(
        lambda value: value in ("", "None") or _ADDRESS.accepts(value), 'an IP address, or "None"'
    ),
    ("ServiceSpec", "clusterIPs"): FieldRule(
        lambda value: value == "None" or _ADDRESS.accepts(value), 'an IP address, or "None"'
    ),
    ("ServiceSpec", "externalIPs"): _ADDRESS,
    ("ServiceSpec", "ipFamilies"): choice("IPv4", "IPv6"),
    ("ServiceSpec", "loadBalancerClass"): LABEL_KEY,
    ("ServiceSpec", "loadBalancerSourceRanges"): _RANGE,
    ("ServiceSpec", "trafficDistribution"): choice(
        "PreferClose", "PreferSameZone", "PreferSameNode"
    ),
    ("SleepAction", "seconds"): _COUNT,
    ("StatefulSetOrdinals", "start"): _COUNT,
    ("StatefulSetPersistentVolumeClaimRetentionPolicy", "whenDeleted"): choice(
        "Retain", "Delete", ""
    ),
    ("StatefulSetPersistentVolumeClaimRetentionPolicy", "whenScaled"): choice(
        "Retain", "Delete", ""
    ),
    ("StatefulSetSpec", "minReadySeconds"): _COUNT,
    ("StatefulSetSpec", "replicas"): _COUNT,
    ("StatefulSetSpec", "serviceName"): optional(SHORT_NAME),
    ("Subject", "kind"): choice("ServiceAccount", "User", "Group"),
    ("Sysctl", "name"): text(
        Form(rf"{_SYSCTL}([./]{_SYSCTL})*", "the name of a sysctl such as net.core.somaxconn", 253)
    ),
    ("TCPSocketAction", "port"): _PORT_OR_NAME,
    ("Toleration", "key"): optional(LABEL_KEY),
    ("TopologySpreadConstraint", "maxSkew"): number(1),
    ("TopologySpreadConstraint", "minDomains"): number(1),
    ("TopologySpreadConstraint", "matchLabelKeys"): LABEL_KEY,
    ("TopologySpreadConstraint", "topologyKey"): NOT_EMPTY,
    ("TypedLocalObjectReference", "apiGroup"): optional(OBJECT_NAME),
    ("TypedLocalObjectReference", "kind"): _PATH_SEGMENT,
    ("TypedLocalObjectReference", "name"): _PATH_SEGMENT,
    ("TypedObjectReference", "apiGroup"): optional(OBJECT_NAME),
    ("Volume", "name"): SHORT_NAME,
    ("VolumeDevice", "devicePath"): _PATH_WITHOUT_PARENT,
    ("VolumeMount", "mountPath"): NOT_EMPTY,
    ("VolumeMount", "recursiveReadOnly"): choice("Disabled", "IfPossible", "Enabled"),
    ("VolumeMount", "subPath"): _RELATIVE_PATH,
    ("VolumeMount", "subPathExpr"): _RELATIVE_PATH,
    ("WeightedPodAffinityTerm", "weight"): _WEIGHT,
}
_TEXT_LABELS = (LABEL_KEY, LABEL_VALUE)
# Fields that map names to text: the rule of the keys, and that of the values.
MAPPING_RULES: dict[str, tuple[FieldRule, FieldRule | None]] = {
    "annotations": (form_of(AnnotationKey), None),
    "binaryData": (form_of(ConfigKey), FieldRule(_is_base64, "text in base64")),
    "data": (form_of(ConfigKey), None),
    "labels": _TEXT_LABELS,
    "matchLabels": _TEXT_LABELS,
    "nodeSelector": _TEXT_LABELS,
    "selector": _TEXT_LABELS,
}
# Lists with a largest number of items.
MAX_ITEMS = {
    ("Container", "restartPolicyRules"): 20,
    ("PodDNSConfig", "nameservers"): 3,
    ("PodDNSConfig", "searches"): 32,
    ("ServiceSpec", "clusterIPs"): 2,
}
# Fields of which only one may be set, after the word that messages use for them.
ONE_OF: dict[str, tuple[str, tuple[str, ...]]] = {
    "Probe": ("handler", ("exec", "grpc", "httpGet", "tcpSocket")),
    "LifecycleHandler": ("handler", ("exec", "httpGet", "sleep", "tcpSocket")),
    "EnvFromSource": ("source", ("configMapRef", "secretRef")),
    "EnvVar": ("value", ("value", "valueFrom")),
    "EnvVarSource": (
        "source",
        ("configMapKeyRef", "fieldRef", "fileKeyRef", "resourceFieldRef", "secretKeyRef"),
    ),
    "IngressBackend": ("backend", ("resource", "service")),
    "PodDisruptionBudgetSpec": ("budget", ("maxUnavailable", "minAvailable")),
    "PodFailurePolicyRule": ("condition", ("onExitCodes", "onPodConditions")),
    "PodResourceClaim": ("source", ("resourceClaimName", "resourceClaimTemplateName")),
    "ServiceBackendPort": ("port", ("name", "number")),
    "VolumeProjection": (
        "source",
        (
            "clusterTrustBundle", "configMap", "downwardAPI", "podCertificate", "secret",
            "serviceAccountToken",
        ),
    ),
    "DownwardAPIVolumeFile": ("source", ("fieldRef", "resourceFieldRef")),
}  # fmt: skip
