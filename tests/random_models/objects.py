"""A valid object of each kind that `objects` may have, and that a patch may change.

Each has the fields that are worth changing: those below them are drawn more often.
"""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]

_PROBE: Json = {"httpGet": {"port": 8080}}
_CONTAINER: Json = {
    "name": "model",
    "image": "a:1",
    "env": [{"name": "A", "value": "b"}],
    "ports": [{"containerPort": 8080, "name": "http"}],
    "resources": {"requests": {"cpu": "1"}, "limits": {"memory": "1Gi"}},
    "securityContext": {"runAsUser": 1000},
    "volumeMounts": [{"name": "data", "mountPath": "/data"}],
}
_SERVING: Json = {
    "readinessProbe": _PROBE,
    "lifecycle": {"preStop": {"exec": {"command": ["a"]}}},
}
_POD: Json = {
    "containers": [_CONTAINER],
    "securityContext": {"fsGroup": 1000},
    "volumes": [{"name": "data", "emptyDir": {"sizeLimit": "1Gi"}}],
}
_SELECTOR: Json = {"matchLabels": {"app": "a"}}


def _template(**pod: Any) -> Json:
    return {"metadata": {"labels": {"app": "a"}}, "spec": {**_POD, **pod}}


_SERVER = _template(containers=[{**_CONTAINER, **_SERVING}])
_JOB: Json = {"backoffLimit": 3, "template": _template(restartPolicy="Never")}
_BUDGET: Json = {"selector": _SELECTOR, "maxUnavailable": 1}
_METRIC: Json = {
    "type": "Resource",
    "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}},
}
_ROUTE: Json = {
    "path": "/",
    "pathType": "Prefix",
    "backend": {"service": {"name": "a", "port": {"number": 80}}},
}
_RULE: Json = {"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}
_CLAIM: Json = {
    "accessModes": ["ReadWriteOnce"],
    "resources": {"requests": {"storage": "1Gi"}},
}


def _object(api_version: str, kind: str, **content: Any) -> Json:
    return {"apiVersion": api_version, "kind": kind, **content}


_ALL = [
    _object("v1", "ConfigMap", data={"a": "b"}),
    _object("v1", "LimitRange", spec={"limits": [{"type": "Container", "default": {"cpu": "1"}}]}),
    _object("v1", "PersistentVolumeClaim", spec=_CLAIM),
    _object("v1", "ReplicationController", spec={"selector": {"app": "a"}, "template": _SERVER}),
    _object("v1", "ResourceQuota", spec={"hard": {"pods": "1"}}),
    _object("v1", "Service", spec={
        "selector": {"app": "a"}, "ports": [{"name": "http", "port": 80, "targetPort": "http"}],
    }),
    _object("v1", "ServiceAccount", automountServiceAccountToken=False),
    _object("apps/v1", "DaemonSet", spec={
        "selector": _SELECTOR, "template": _SERVER, "updateStrategy": {"type": "RollingUpdate"},
    }),
    _object("apps/v1", "Deployment", spec={"selector": _SELECTOR, "template": _SERVER}),
    _object("apps/v1", "StatefulSet", spec={
        "serviceName": "a", "selector": _SELECTOR, "template": _SERVER,
        "updateStrategy": {"type": "RollingUpdate"},
    }),
    _object("autoscaling/v2", "HorizontalPodAutoscaler", spec={
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "a"},
        "minReplicas": 1, "maxReplicas": 2, "metrics": [_METRIC],
    }),
    _object("batch/v1", "CronJob", spec={
        "schedule": "0 3 * * *", "jobTemplate": {"spec": _JOB},
    }),
    _object("batch/v1", "Job", spec=_JOB),
    _object("networking.k8s.io/v1", "Ingress", spec={
        "rules": [{"host": "a.example.com", "http": {"paths": [_ROUTE]}}],
    }),
    _object("networking.k8s.io/v1", "NetworkPolicy", spec={
        "podSelector": _SELECTOR,
        "ingress": [{"from": [{"podSelector": _SELECTOR}], "ports": [{"port": 80}]}],
        "egress": [{"to": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]}],
    }),
    _object("policy/v1", "PodDisruptionBudget", spec=_BUDGET),
    _object("rbac.authorization.k8s.io/v1", "Role", rules=[_RULE]),
    _object("rbac.authorization.k8s.io/v1", "RoleBinding",
        roleRef={"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "a"},
        subjects=[{"kind": "ServiceAccount", "name": "a", "namespace": "b"}],
    ),
]  # fmt: skip
OBJECTS: dict[str, Json] = {obj["kind"]: obj for obj in _ALL}
# A Deployment as the framework builds it, as far as a patch may change it.
PATCHED: dict[str, Json] = {
    "Deployment": {
        "spec": {
            "progressDeadlineSeconds": 600,
            "template": {
                "metadata": {"annotations": {}},
                "spec": {
                    "containers": [
                        {
                            "name": "model",
                            "ports": [{"containerPort": 8080}],
                            "readinessProbe": _PROBE,
                            "resources": {"requests": {}},
                            "securityContext": {},
                        }
                    ],
                    "securityContext": {},
                },
            },
        }
    },
}
