"""The values that are drawn from, by the type of a setting or by the name of a field.

The first three of each pool are valid nearly everywhere and are drawn most often. The others lie at
a border of what the server accepts, or beyond it.
"""

from __future__ import annotations

from typing import Any

NAMES = ["a", "b", "http", "grpc", "model", "0", "x" * 63]
# Texts for settings that have no form of their own, the valid ones first.
TEXTS = ["a", "b", "/", "x y", "", "\0", "a\nb", "é", "//", "$(A)", "-", "x" * 300, "\t", "\x7f"]
NUMBERS = [1, 2, 5, 30, 0, 100, 1800, 3600, 65535, 2**31 - 1, 2**31, 2**63 - 1, 2**63, 10**30]
QUANTITIES = [
    "500m", 1, "1Gi", "100Mi", "2", "0.5", "0", "1m", "512m", "1Ki", "8", "1e3", "10E", "9Ei",
    "16E", "1.5Gi", "0.0001", "999999999999999999999", "1.", ".5", "1k", "100G",
]  # fmt: skip
PERCENTAGES = ["25%", 1, 0, "50%", "0%", "100%", "101%", "150%", "999%", 2**31 - 1, 2**31]
PATHS = [
    "/a",
    "/b",
    "/",
    "/a/b",
    "/a//b",
    "/a/../b",
    "/a/.",
    "//",
    "/a b",
    "/\0",
    "/é",
    "/x" * 300,
]
LABEL_KEYS = [
    "a",
    "b",
    "example.com/a",
    "x" * 63,
    "x" * 64,
    "a/b/c",
    "é",
    "A.b_c",
    f"{'x.' * 126}x/a",
]
LABEL_VALUES = ["a", "", "x" * 63, "x" * 64, "1", "a b", "A.b_c", "-a"]
PROTOCOLS = ["http", "kubernetes.io/h2c", "a b", "", "HTTP", "x" * 64, "a/b/c", "grpc"]
# Values by their type in framework.settings.values.
POOLS: dict[str, list[Any]] = {
    "Quantity": QUANTITIES,
    "IntOrPercent": PERCENTAGES,
    "EnvText": ["a", "", "x" * 300, "\0", "a\nb", "$(A)", "é", 5, "\x01"],
    "DnsLabel": ["a", "b", "x" * 63, "x" * 64, "0a", "a-b", "a.b"],
    "PortName": ["http", "grpc", "a", "x" * 15, "x" * 16, "0", "0a", "a--b", "a-b"],
    "PortNumber": [8080, 80, 443, 9090, 1, 65535, 0, 65536, 30000, 32767, 29999],
    "LabelKey": LABEL_KEYS,
    "AnnotationKey": [*LABEL_KEYS, "kubernetes.io/ingress.class", "example.com/A"],
    "LabelValue": LABEL_VALUES,
    "Owner": ["team", "x" * 63, "x" * 64, "A.b"],
    "EnvName": ["A", "B", "a.b", "-a", "1A", "x" * 300, "..a", ".", "..", "_", "A B"],
    "EnvPrefix": ["A_", "", "a.", "1", "..", ".", "x" * 300],
    "ShortName": NAMES,
    "ObjectName": ["a", "b", "a.b", "x" * 63, "x" * 64, "x" * 253, "0", f"{'x' * 64}.a"],
    "HostName": ["a.example.com", "b", "*.example.com", "*", "x" * 64,
                 f"{'x' * 64}.b", "1.2.3.4"],
    "ConfigKey": ["a", "a.json", "..a", "...", "..", "x" * 253, "_", "-"],
    "HeaderName": ["A", "X-B", "-", "1"],
    "Repository": ["ghcr.io/a/b", "a", "localhost:5000/a", "x" * 255, f"ghcr.io/{'x' * 240}"],
    "ImageTag": ["v1", "x" * 128, "_", "1.0"],
    "Digest": ["sha256:" + "a" * 64],
    "ImageReference": ["ghcr.io/a/b:v1", "a:1", f"a@sha256:{'a' * 64}",
                       f"a:1@sha256:{'a' * 64}", f"{'x' * 300}:1"],
    "AbsolutePath": PATHS,
    "UrlPath": [*PATHS, "/%zz", "/a%2fb", "/%2F", "/a/./b", "/.", "/..", "/a/..", "/*", "/a?b"],
    "RelativePath": ["a", "a/b", "", "./a", ".", "a//b", "a/..b", "..a", "x" * 300, "\0"],
    "ResourceName": [
        "cpu", "memory", "nvidia.com/gpu", "ephemeral-storage", "hugepages-2Mi", "hugepages-3Mi",
        "kubernetes.io/x", "requests.a/b", f"{'x' * 64}.com/a", f"a/{'x' * 63}", "hugepages-0Gi",
        "requests.x.com/gpu", "attachable-volumes.k8s.io/a", "example.com/x.y",
    ],
    "PartOfPods": PERCENTAGES,
    "AppProtocol": PROTOCOLS,
    "NodePath": PATHS,
    "FilePath": ["a", "a/b", "./a", "", ".", "a//b", "a/..b", "..a", "x" * 300],
    "DnsName": ["a.example.com", "b", "*.a.b", "x" * 64, "1.2.3.4", "é"],
    "PodField": [
        "metadata.name", "status.podIP", "metadata.labels['a']", "metadata.annotations['a b']",
        "spec.nodeName", "status.hostIPs", "metadata.labels['x/y/z']",
        "metadata.annotations['A.b/c']",
    ],
    "ResourceField": [
        "limits.memory", "requests.cpu", "limits.ephemeral-storage", "limits.hugepages-2Mi",
        "requests.hugepages-3Mi",
    ],
    "Cidr": ["10.0.0.0/8", "10.1.0.0/16", "0.0.0.0/0", "::/0", "10.0.0.1/8", "10.0.0.0", "fd00::/8",
             "10.0.0.0/255.0.0.0", "10.1.2.3/32", "::ffff:10.0.0.0/104", "fe80::1%eth0"],
    "IpAddress": ["10.0.0.1", "::1", "fe80::1%eth0", "::ffff:10.0.0.1", "0.0.0.0"],
    "IsoDate": ["2099-01-01"],
    "FileMode": ["0440", 0, 0o777, "777"],
}  # fmt: skip
# Values by class and setting, for texts that have no type of their own.
BY_SETTING: dict[tuple[str, str], list[Any]] = {
    ("HttpGet", "path"): ["/", "/a b", "", "a", "/é", "\0"],
    ("HttpGet", "host"): ["a.b", "", "a b", "x" * 300],
    ("Security", "drop_capabilities"): [["ALL"], [], ["NET_RAW"], ["a b"], ["CAP_SYS_ADMIN"]],
    ("Security", "add_capabilities"): [[], ["IPC_LOCK"], ["CAP_SYS_ADMIN"], [""]],
    ("ContainerSecurity", "add_capabilities"): [[], ["IPC_LOCK"], ["CAP_SYS_ADMIN"], [""]],
    ("Toleration", "value"): LABEL_VALUES,
    ("ConfigFiles", "files"): [
        {"a": "b"}, {"a": "\0"}, {"b": ""}, {"a": "x" * 1_048_576},
        {"a": "x" * 1_048_575}, {"a": "é" * 600_000},
        {"a": "x" * 600_000, "b": "x" * 600_000},
    ],
    ("Model", "annotations"): [
        {"a": "b"}, {"b": "c", "a": "d"}, {"a": ""}, {"a": "x" * 262_143},
        {"a": "x" * 262_144}, {"a": "x" * 300_000}, {"a": "\0"},
    ],
    ("Model", "description"): ["a", "", "b c", "x" * 262_144, "\0"],
}  # fmt: skip
# Values of texts in fields of Kubernetes, by the name of the field, or by definition and field.
FIELD_TEXTS: dict[str, list[Any]] = {
    "apiGroup": ["", "rbac.authorization.k8s.io", "a.b", "A b"],
    "apiVersion": ["apps/v1", "v1", "a/b/c", "/a"],
    "audience": ["a", "", "vault"],
    "cidr": ["10.0.0.0/8", "10.1.0.0/16", "::/0", "10.0.0.0", "a"],
    "clusterIP": ["None", "", "a"],
    "containerName": ["model", "a", "x"],
    "effect": ["NoSchedule", "NoExecute", "PreferNoSchedule", "x"],
    "except": ["10.1.0.0/16", "10.0.1.0/24", "10.0.0.0/8", "11.0.0.0/24", "::1/128"],
    "externalName": ["a.example.com", "b.", "a b", ""],
    "fieldPath": [
        "metadata.name", "metadata.labels", "metadata.labels['a']", "spec.nodeName", "x",
        "metadata.namespace", "metadata.annotations['A b']",
    ],
    "host": ["a.example.com", "b", "*.example.com", "*", "1.2.3.4", ""],
    "hosts": ["a.example.com", "b", "*.example.com", "*", "1.2.3.4", ""],
    "ip": ["10.0.0.1", "::1", "10.0.0.2", "a", "fe80::1%eth0"],
    "keyType": ["ED25519", "RSA4096", "RSA3072", "x"],
    "localhostProfile": ["a/b", "a", "b.json", "/a", "..", ""],
    "managedBy": ["a.b/c", "example.com/a", "x.io/b", "a"],
    "mountPath": PATHS,
    "name": ["a", "model", "http", "cpu", "memory", "a.b", "A", "a b", ""],
    "nameservers": ["10.0.0.1", "::1", "10.0.0.2", "a", ""],
    "operator": ["In", "Exists", "DoesNotExist", "NotIn", "Gt", "Lt", "Equal", "x"],
    "path": ["a", "a/b", "/a", "../a", ""],
    "recursiveReadOnly": ["Disabled", "Enabled", "IfPossible", "x"],
    "resource": ["limits.cpu", "requests.memory", "limits.memory", "x", "cpu"],
    "schedule": ["0 3 * * *", "@daily", "*/5 1-3 * * mon", "0 24 * * *", "5-1 * * * *", "a"],
    "searches": ["a.b", "x", "svc.cluster.local", "a_b", "x" * 300, ""],
    "selectPolicy": ["Max", "Min", "Disabled", "x"],
    "signerName": ["example.com/a", "a.b/c", "x.io/y", "a", ""],
    "succeededIndexes": ["0", "0-1", "", "1,3-4", "2,1", "a"],
    "timeZone": ["Europe/Berlin", "UTC", "Etc/GMT+1", "Local", "a", ""],
    "topologyKey": ["zone", "example.com/a", "kubernetes.io/hostname", "", "a b"],
    "trafficDistribution": ["PreferClose", "PreferSameZone", "PreferSameNode", "x"],
    "type": ["Utilization", "AverageValue", "Value", "x"],
    "values": ["1", "a", "b", "a b", ""],
    "whenDeleted": ["Retain", "Delete", "", "x"],
    "whenScaled": ["Retain", "Delete", "", "x"],
    "Container.restartPolicy": ["Always", "Never", "OnFailure", "x"],
    "ContainerResizePolicy.resourceName": ["cpu", "memory", "x"],
    "ContainerResizePolicy.restartPolicy": ["NotRequired", "RestartContainer", "x"],
    "ContainerRestartRule.action": ["Restart", "RestartAllContainers", "x"],
    "ContainerRestartRuleOnExitCodes.operator": ["In", "NotIn", "x"],
    "HPAScalingPolicy.type": ["Pods", "Percent", "x"],
    "LimitRangeItem.type": ["Container", "Pod", "PersistentVolumeClaim", "x.io/a", "a"],
    "MetricSpec.type": ["Resource", "Pods", "Object", "External", "ContainerResource", "x"],
    "ObjectMeta.finalizers": ["example.com/a", "x.io/b", "orphan", "a", "A b", ""],
    "PodOS.name": ["linux", "windows", "x"],
    "RoleRef.kind": ["Role", "ClusterRole", "x"],
    "Subject.kind": ["ServiceAccount", "User", "Group", "x"],
    "Sysctl.name": ["net.core.somaxconn", "kernel/a", "vm.b", "a b"],
}  # fmt: skip
OTHER_TEXTS = ["a", "b", "a.b", "/a", "http", "", "A b", "x" * 64, "\0", "1"]
RESOURCES = [
    "cpu", "memory", "nvidia.com/gpu", "ephemeral-storage", "storage", "pods", "a", "a b",
    "requests.cpu", "limits.memory", "hugepages-2Mi", "count/jobs.batch", "services",
]  # fmt: skip
# Keys and values of fields that map names to text, where these are no labels.
TEXT_MAPS: dict[str, tuple[list[Any], list[Any]]] = {
    "data": (["a", "a.json", "b", "..a", "a b", "x" * 254], ["a", "", "b", "\0"]),
    "binaryData": (["c", "d", "a", "..a"], ["YQ==", "", "YWI=", "a"]),
}
