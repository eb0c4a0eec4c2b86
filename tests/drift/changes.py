"""Out-of-band changes of every kind, each with what the drift report must find.

Each change is made on the API server as another manager would make it. `finds` has what must be
reported, and nothing else may be: `KIND Kind/name path`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from framework.kube.client import KubeClient
from framework.kube.objects import Object

VERSIONS = {
    "Namespace": "v1", "Service": "v1", "ConfigMap": "v1", "ServiceAccount": "v1", "Pod": "v1",
    "PersistentVolumeClaim": "v1", "ResourceQuota": "v1", "LimitRange": "v1",
    "EndpointSlice": "discovery.k8s.io/v1",
    "Deployment": "apps/v1", "StatefulSet": "apps/v1", "HorizontalPodAutoscaler": "autoscaling/v2",
    "CronJob": "batch/v1", "Job": "batch/v1", "Ingress": "networking.k8s.io/v1",
    "NetworkPolicy": "networking.k8s.io/v1", "PodDisruptionBudget": "policy/v1",
    "Role": "rbac.authorization.k8s.io/v1", "Widget": "example.com/v1",
}  # fmt: skip
MERGE_PATCH = "application/merge-patch+json"
POD = "spec.template.spec"
MODEL = f"{POD}.containers[model]"
_CONTAINER = "/spec/template/spec/containers/0"


_OURS = re.compile(r"(intent|fraud|text-embeddings)(?=-|$)")


@dataclass(frozen=True)
class Tampering:
    """Changes the objects of one copy of the models, as other people do it on the API server.

    All names are those of the first models, `intent`; those of the copy `b` are `intent-b`.
    """

    kube: KubeClient
    namespace: str
    copy: str = ""

    def _name(self, name: str) -> str:
        """Returns the name of an object of ours in this copy; any other name as it is."""
        copied = _OURS.match(name) and not re.match(rf"{_OURS.pattern}-{self.copy}(-|$)", name)
        return _OURS.sub(rf"\1-{self.copy}", name, count=1) if self.copy and copied else name

    def _rename(self, value: Any) -> Any:
        """Returns a manifest with the names of this copy: in selectors, labels and references."""
        if isinstance(value, Mapping):
            return {key: self._rename(child) for key, child in value.items()}
        if isinstance(value, list):
            return [self._rename(child) for child in value]
        return self._name(value) if isinstance(value, str) else value

    def path(self, kind: str, name: str) -> str:
        """Returns the path of an object on the server."""
        scope = "" if kind == "Namespace" else self.namespace
        served = self.kube.served_kind(VERSIONS[kind], kind)
        prefix = f"{served.prefix}/namespaces/{scope}" if scope else served.prefix
        return f"{prefix}/{served.plural}/{self._name(name) or self.namespace}"

    def get(self, kind: str, name: str) -> Object:
        found: Object = self.kube.connection.request("GET", self.path(kind, name), kind)
        return found

    def find(self, kind: str, prefix: str) -> str:
        """Returns the name of the first object that begins with `prefix`."""
        found = self.kube.list_objects(VERSIONS[kind], kind, self.namespace)
        names = sorted(str(obj["metadata"]["name"]) for obj in found)
        return next(name for name in names if name.startswith(self._name(prefix)))

    def edit(self, kind: str, name: str, *operations: tuple[Any, ...], manager: str) -> None:
        """Applies JSON patch operations: (op, path, value)."""
        body = [
            {"op": op, "path": path} | ({"value": rest[0]} if rest else {})
            for op, path, *rest in operations
        ]
        query, media = {"fieldManager": manager}, "application/json-patch+json"
        self.kube.connection.request("PATCH", self.path(kind, name), kind, query, body, media)

    def merge(self, kind: str, name: str, body: Mapping[str, Any], *, manager: str) -> None:
        """Applies a JSON merge patch; `name/scale` is the subresource."""
        query = {"fieldManager": manager}
        name, slash, subresource = name.partition("/")
        path = f"{self.path(kind, name)}{slash}{subresource}"
        self.kube.connection.request("PATCH", path, kind, query, body, MERGE_PATCH)

    def create(self, kind: str, name: str, *, manager: str, **fields: Any) -> None:
        """Creates an object in the Namespace."""
        name = f"{name}-{self.copy}" if self.copy else name
        metadata = {"name": name, "namespace": self.namespace, **fields.pop("metadata", {})}
        obj = {"apiVersion": VERSIONS[kind], "kind": kind, "metadata": metadata}
        self.kube.create({**obj, **self._rename(fields)}, manager=manager)

    def delete(self, kind: str, name: str) -> None:
        """Deletes an object, and what it owns in the background."""
        own = self._name(name)
        self.kube.delete(VERSIONS[kind], kind, own, self.namespace, propagation="Background")

    def recreate(self, kind: str, name: str, *, manager: str) -> None:
        """Deletes an object and creates it again, as `kubectl replace --force` does."""
        obj = self.get(kind, name)
        self.delete(kind, name)
        metadata = {k: obj["metadata"][k] for k in ("name", "namespace", "labels")}
        obj["metadata"] = metadata | {"annotations": obj["metadata"].get("annotations") or {}}
        obj.pop("status", None)
        if kind == "Service":
            for key in ("clusterIP", "clusterIPs"):
                obj["spec"].pop(key, None)
        self.kube.create(obj, manager=manager)


Make = Callable[[Tampering], None]


@dataclass(frozen=True)
class OutOfBand:
    """One change, the differences that it makes, and the manager that makes it."""

    name: str
    make: Make
    finds: frozenset[str]
    manager: str = "k9s"

    @property
    def objects(self) -> frozenset[str]:
        """The objects that the change touches, as `Kind/name`."""
        return frozenset(text.split(" ")[1] for text in self.finds)


CHANGES: list[OutOfBand] = []


def edited(
    name: str,
    target: str,
    operations: Sequence[tuple[Any, ...]],
    *finds: str,
    manager: str = "k9s",
    unknown: bool = False,
) -> None:
    """Adds an edit of `Kind/name`; each of `finds` is `kind path`."""
    kind, _, object_name = target.partition("/")

    def make(world: Tampering) -> None:
        real = world.find(kind, object_name[:-1]) if object_name.endswith("*") else object_name
        world.edit(kind, real, *operations, manager=manager)

    found = frozenset(f"{text.split(' ')[0]} {target} {text.partition(' ')[2]}" for text in finds)
    CHANGES.append(OutOfBand(name, make, found, "" if unknown else manager))


def foreign(kind: str, name: str, manager: str = "kubectl-create", **fields: Any) -> None:
    """Adds the creation of an object that no stack owns."""
    CHANGES.append(
        OutOfBand(
            f"foreign-{kind}-{name}",
            lambda world: world.create(kind, name, manager=manager, **dict(fields)),
            frozenset({f"foreign {kind}/{name} "}),
            manager,
        )
    )


D, F, S, HPA = (
    "Deployment/intent",
    "Deployment/fraud",
    "Service/intent",
    "HorizontalPodAutoscaler/fraud",
)
EXTRA_CONTAINER = {"name": "debug", "image": "docker.io/library/busybox:1.36"}
SET = {"name": "DEBUG", "value": "1"}

# Deployment: its own fields.
edited("replicas", D, [("replace", "/spec/replicas", 5)], "changed spec.replicas")
edited(
    "strategy-surge", D, [("replace", "/spec/strategy/rollingUpdate/maxSurge", 2)],
    "changed spec.strategy.rollingUpdate.maxSurge",
)  # fmt: skip
edited(
    "strategy-recreate", D, [("replace", "/spec/strategy", {"type": "Recreate"})],
    "changed spec.strategy.type", "changed spec.strategy.rollingUpdate",
)  # fmt: skip
edited(
    "min-ready", D, [("add", "/spec/minReadySeconds", 1)], "added spec.minReadySeconds"
)  # fmt: skip
edited(
    "progress-deadline", D, [("replace", "/spec/progressDeadlineSeconds", 700)],
    "changed spec.progressDeadlineSeconds",
)  # fmt: skip
edited(
    "history-limit", D, [("replace", "/spec/revisionHistoryLimit", 3)],
    "changed spec.revisionHistoryLimit",
)  # fmt: skip
edited("paused", D, [("add", "/spec/paused", True)], "added spec.paused")
edited(
    "label-added", D, [("add", "/metadata/labels/tier", "gold")], "added metadata.labels.tier"
)  # fmt: skip
edited(
    "label-removed", D, [("remove", "/metadata/labels/modelcatalog~1owner")],
    'changed metadata.labels["modelcatalog/owner"]', unknown=True,
)  # fmt: skip
edited(
    "label-changed", D, [("replace", "/metadata/labels/modelcatalog~1owner", "me")],
    'changed metadata.labels["modelcatalog/owner"]',
)  # fmt: skip
edited(
    "annotation-added", D, [("add", "/metadata/annotations/example.com~1x", "1")],
    'added metadata.annotations["example.com/x"]',
)  # fmt: skip
edited(
    "finalizer", D, [("add", "/metadata/finalizers", ["example.com/guard"])],
    "added metadata.finalizers", manager="kubectl-edit",
)  # fmt: skip

# Deployment: the Pod template.
edited(
    "restarted", D,
    [("add", "/spec/template/metadata/annotations", {"kubectl.kubernetes.io/restartedAt": "now"})],
    'added spec.template.metadata.annotations["kubectl.kubernetes.io/restartedAt"]',
    manager="kubectl-rollout",
)  # fmt: skip
edited(
    "pod-label", D, [("add", "/spec/template/metadata/labels/team", "x")],
    "added spec.template.metadata.labels.team",
)  # fmt: skip
edited("image", D, [("replace", f"{_CONTAINER}/image", "other:1")], f"changed {MODEL}.image")
edited(
    "undo", D, [("replace", f"{_CONTAINER}/image", "former:1")], f"changed {MODEL}.image",
    manager="kubectl-rollout",
)  # fmt: skip
edited("env-added", F, [("add", f"{_CONTAINER}/env/-", SET)], f"added {MODEL}.env[DEBUG]")
edited(
    "env-kubectl", F, [("add", f"{_CONTAINER}/env/-", SET)], f"added {MODEL}.env[DEBUG]",
    manager="kubectl-set",
)  # fmt: skip
edited(
    "env-from", D,
    [("add", f"{_CONTAINER}/envFrom", [{"configMapRef": {"name": "x", "optional": True}}])],
    f"added {MODEL}.envFrom",
)  # fmt: skip
edited("command", D, [("add", f"{_CONTAINER}/command", ["sh"])], f"added {MODEL}.command")
edited("args", D, [("add", f"{_CONTAINER}/args/-", "-v")], f"added {MODEL}.args[4]")
edited(
    "container", D, [("add", "/spec/template/spec/containers/-", EXTRA_CONTAINER)],
    f"added {POD}.containers[debug]",
)  # fmt: skip
edited(
    "init-container", D, [("add", "/spec/template/spec/initContainers/-", EXTRA_CONTAINER)],
    f"added {POD}.initContainers[debug]",
)  # fmt: skip
edited(
    "container-port", D,
    [("add", f"{_CONTAINER}/ports/-", {"name": "debug", "containerPort": 5005})],
    f"added {MODEL}.ports[5005]",
)  # fmt: skip
edited(
    "volume", D, [("add", "/spec/template/spec/volumes/-", {"name": "tmp2", "emptyDir": {}})],
    f"added {POD}.volumes[tmp2]",
)  # fmt: skip
edited(
    "limit", D, [("replace", f"{_CONTAINER}/resources/limits/memory", "9Gi")],
    f"changed {MODEL}.resources.limits.memory",
)  # fmt: skip
edited(
    "request-removed", D, [("remove", f"{_CONTAINER}/resources/requests/cpu")],
    f"changed {MODEL}.resources.requests.cpu", unknown=True,
)  # fmt: skip
edited(
    "probe-removed", D, [("remove", f"{_CONTAINER}/readinessProbe")],
    f"changed {MODEL}.readinessProbe", unknown=True,
)  # fmt: skip
edited(
    "probe-period", D, [("replace", f"{_CONTAINER}/readinessProbe/periodSeconds", 33)],
    f"changed {MODEL}.readinessProbe.periodSeconds",
)  # fmt: skip
edited(
    "pull-policy", D, [("replace", f"{_CONTAINER}/imagePullPolicy", "Always")],
    f"changed {MODEL}.imagePullPolicy",
)  # fmt: skip
edited(
    "container-security", D, [("add", f"{_CONTAINER}/securityContext/runAsUser", 7)],
    f"added {MODEL}.securityContext.runAsUser",
)  # fmt: skip
edited(
    "pod-security", D, [("add", "/spec/template/spec/securityContext/fsGroup", 7)],
    f"added {POD}.securityContext.fsGroup",
)  # fmt: skip
edited(
    "node-selector", D, [("add", "/spec/template/spec/nodeSelector", {"disk": "ssd"})],
    f"added {POD}.nodeSelector",
)  # fmt: skip
edited(
    "toleration", D,
    [("add", "/spec/template/spec/tolerations", [{"key": "gpu", "operator": "Exists"}])],
    f"added {POD}.tolerations",
)  # fmt: skip
edited(
    "affinity", D, [("add", "/spec/template/spec/affinity", {"nodeAffinity": {}})],
    f"added {POD}.affinity",
)  # fmt: skip
edited(
    "grace-period", D,
    [("replace", "/spec/template/spec/terminationGracePeriodSeconds", 99)],
    f"changed {POD}.terminationGracePeriodSeconds",
)  # fmt: skip
edited(
    "dns-policy", D, [("replace", "/spec/template/spec/dnsPolicy", "Default")],
    f"changed {POD}.dnsPolicy",
)  # fmt: skip
edited(
    "host-alias", D,
    [("add", "/spec/template/spec/hostAliases", [{"ip": "10.0.0.1", "hostnames": ["db"]}])],
    f"added {POD}.hostAliases",
)  # fmt: skip
edited(
    "dns-config", D, [("add", "/spec/template/spec/dnsConfig", {"nameservers": ["1.1.1.1"]})],
    f"added {POD}.dnsConfig",
)  # fmt: skip
edited(
    "pull-secret", D,
    [("add", "/spec/template/spec/imagePullSecrets", [{"name": "registry"}])],
    f"added {POD}.imagePullSecrets",
)  # fmt: skip
edited(
    "share-processes", D, [("add", "/spec/template/spec/shareProcessNamespace", True)],
    f"added {POD}.shareProcessNamespace",
)  # fmt: skip

# Service.
edited(
    "port-number", S, [("replace", "/spec/ports/0/port", 9999)], "changed spec.ports[8080].port"
)  # fmt: skip
edited(
    "target-port", S, [("replace", "/spec/ports/0/targetPort", "other")],
    "changed spec.ports[8080].targetPort",
)  # fmt: skip
edited(
    "port-added", S, [("add", "/spec/ports/-", {"name": "debug", "port": 5005})],
    "added spec.ports[5005]",
)  # fmt: skip
edited("selector", S, [("add", "/spec/selector/tier", "x")], "added spec.selector.tier")
edited(
    "affinity-of-sessions", S, [("replace", "/spec/sessionAffinity", "ClientIP")],
    "changed spec.sessionAffinity", "added spec.sessionAffinityConfig",
)  # fmt: skip
edited(
    "service-annotation", S, [("add", "/metadata/annotations/x", "1")],
    "added metadata.annotations.x",
)  # fmt: skip
edited(
    "service-label", S, [("remove", "/metadata/labels/app.kubernetes.io~1name")],
    'changed metadata.labels["app.kubernetes.io/name"]', unknown=True,
)  # fmt: skip

# The other kinds.
edited(
    "autoscaler-most", HPA, [("replace", "/spec/maxReplicas", 99)], "changed spec.maxReplicas"
)  # fmt: skip
edited(
    "autoscaler-fewest", HPA, [("replace", "/spec/minReplicas", 1)], "changed spec.minReplicas"
)  # fmt: skip
edited(
    "autoscaler-behavior", HPA,
    [("add", "/spec/behavior/scaleDown/stabilizationWindowSeconds", 5)],
    "changed spec.behavior.scaleDown.stabilizationWindowSeconds",
)  # fmt: skip
edited(
    "budget", "PodDisruptionBudget/intent", [("replace", "/spec/maxUnavailable", 2)],
    "changed spec.maxUnavailable",
)  # fmt: skip
edited(
    "ingress-host", "Ingress/text-embeddings", [("replace", "/spec/rules/0/host", "x.example.com")],
    "changed spec.rules[0].host",
)  # fmt: skip
edited(
    "ingress-annotation", "Ingress/text-embeddings", [("add", "/metadata/annotations/x", "1")],
    "added metadata.annotations.x",
)  # fmt: skip
edited(
    "policy-rule", "NetworkPolicy/intent", [("add", "/spec/ingress/-", {})],
    "added spec.ingress[1]",
)  # fmt: skip
edited(
    "account-token", "ServiceAccount/intent",
    [("replace", "/automountServiceAccountToken", True)],
    "changed automountServiceAccountToken",
)  # fmt: skip
edited(
    "account-secret", "ServiceAccount/intent",
    [("add", "/imagePullSecrets", [{"name": "registry"}])],
    "added imagePullSecrets",
)  # fmt: skip
edited(
    "role-rules", "Role/intent-reader", [("replace", "/rules/0/verbs", ["*"])],
    "changed rules[0].verbs[0]",
)  # fmt: skip
edited("custom-field", "Widget/intent-widget", [("replace", "/spec/size", 9)], "changed spec.size")
edited("custom-added", "Widget/intent-widget", [("add", "/spec/extra", "x")], "added spec.extra")
edited(
    "claim-label", "PersistentVolumeClaim/intent-store", [("add", "/metadata/labels/x", "1")],
    "added metadata.labels.x",
)  # fmt: skip
edited(
    "namespace-label", "Namespace/", [("add", "/metadata/labels/x", "1")],
    "added metadata.labels.x",
)  # fmt: skip


def special(name: str, make: Make, *finds: str, manager: str = "k9s") -> None:
    """Adds a change that is no edit of one object."""
    CHANGES.append(OutOfBand(name, make, frozenset(finds), manager))


def scale(name: str, replicas: int) -> Make:
    """Scales as `kubectl scale` does, through the subresource."""
    body = {"spec": {"replicas": replicas}}
    return lambda world: world.merge("Deployment", f"{name}/scale", body, manager="kubectl")


def drop(kind: str, name: str) -> Make:
    return lambda world: world.delete(kind, world.find(kind, name))


def renew(kind: str, name: str) -> Make:
    return lambda world: world.recreate(kind, name, manager="kubectl-replace")


for _kind, _name in (
    ("Service", "intent"), ("PodDisruptionBudget", "intent"), ("NetworkPolicy", "intent"),
    ("ServiceAccount", "fraud"), ("HorizontalPodAutoscaler", "fraud"), ("Role", "intent-reader"),
    ("Ingress", "text-embeddings"), ("Widget", "intent-widget"), ("Deployment", "text-embeddings"),
):  # fmt: skip
    special(
        f"deleted-{_kind}", drop(_kind, _name), f"missing {_kind}/{_name} ", manager=""
    )  # fmt: skip
for _kind, _name in (("Service", "fraud"), ("ServiceAccount", "intent")):
    special(
        f"recreated-{_kind}", renew(_kind, _name), f"recreated {_kind}/{_name} ",
        manager="kubectl-replace",
    )  # fmt: skip
special(
    "scaled", scale("intent", 4), "changed Deployment/intent spec.replicas", manager="kubectl"
)  # fmt: skip
# At 0 the server keeps no entry of the subresource, so nobody can be named.
special(
    "scaled-to-0", scale("intent", 0), "changed Deployment/intent spec.replicas", manager=""
)  # fmt: skip
special(
    "autoscaled-to-0", scale("fraud", 0), "changed Deployment/fraud spec.replicas",
    manager="",
)  # fmt: skip
special(
    "config-data",
    lambda world: world.merge(
        "ConfigMap", world.find("ConfigMap", "intent-config"),
        {"data": {"log4j2.properties": "x"}}, manager="k9s",
    ),
    "changed ConfigMap/intent-config* data[\"log4j2.properties\"]",
)  # fmt: skip
special(
    "config-key",
    lambda world: world.merge(
        "ConfigMap", world.find("ConfigMap", "intent-config"), {"data": {"new": "x"}},
        manager="k9s",
    ),
    "added ConfigMap/intent-config* data.new",
)  # fmt: skip
special(
    "config-immutable",
    lambda world: world.merge(
        "ConfigMap", world.find("ConfigMap", "intent-config"),
        {"data": {"new": "x"}, "immutable": True}, manager="kubectl-patch",
    ),
    "added ConfigMap/intent-config* data.new", "added ConfigMap/intent-config* immutable",
    manager="kubectl-patch",
)  # fmt: skip

# Foreign objects.
OURS = {"app.kubernetes.io/name": "intent", "modelcatalog/track": "stable"}
_POD = {"containers": [{"name": "x", "image": "x:1"}]}
_TEMPLATE = {"metadata": {"labels": {**OURS, "other": "x"}}, "spec": _POD}
_WORKLOAD = {"selector": {"matchLabels": {"other": "x"}}, "template": _TEMPLATE}
foreign("Service", "tmp-debug", spec={"selector": OURS, "ports": [{"port": 1}]})
foreign("Deployment", "impostor", spec={"replicas": 1, **_WORKLOAD})
foreign("StatefulSet", "impostor", spec={"replicas": 1, "serviceName": "x", **_WORKLOAD})
foreign("NetworkPolicy", "deny-all", spec={"podSelector": {}, "policyTypes": ["Ingress"]})
foreign("PodDisruptionBudget", "x", spec={"maxUnavailable": 1, "selector": {"matchLabels": OURS}})
foreign("ResourceQuota", "quota", spec={"hard": {"pods": "500"}})
# Not for Pods, because it would refuse the Pods of other changes.
_CLAIMS = {"type": "PersistentVolumeClaim", "max": {"storage": "9Gi"}}
foreign("LimitRange", "limits", spec={"limits": [_CLAIMS]})
foreign("ConfigMap", "notes", data={"a": "b"})
# With a field, because the server keeps no managedFields entry for an object without one.
foreign("ServiceAccount", "robot", automountServiceAccountToken=False)
foreign("Pod", "shell", spec=_POD)
foreign(
    "CronJob", "nightly",
    spec={
        "schedule": "0 3 * * *",
        "jobTemplate": {
            "spec": {"template": {"spec": {**_POD, "restartPolicy": "Never"}}},
        },
    },
)  # fmt: skip
foreign(
    "HorizontalPodAutoscaler", "other",
    spec={
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "nothing"},
        "minReplicas": 1, "maxReplicas": 3,
    },
)  # fmt: skip
foreign(
    "Ingress", "backdoor",
    spec={
        "defaultBackend": {"service": {"name": "intent", "port": {"number": 80}}},
    },
)  # fmt: skip


def _detach(world: Tampering) -> None:
    """Takes a Pod out of its Deployment by a label, which another Pod replaces."""
    name = world.find("Pod", "text-embeddings")
    label = {"metadata": {"labels": {"app.kubernetes.io/name": "detached"}}}
    world.merge("Pod", name, label, manager="kubectl-label")


foreign(
    "EndpointSlice", "thief",
    metadata={"labels": {"kubernetes.io/service-name": "fraud"}},
    addressType="IPv4", endpoints=[{"addresses": ["10.9.9.9"]}], ports=[{"port": 8080}],
)  # fmt: skip


def _change_pod(world: Tampering) -> None:
    name = world.find("Pod", "text-embeddings")
    image = [("replace", "/spec/containers/0/image", "other:1")]
    world.edit("Pod", name, *image, manager="kubectl-set")


def _debug_pod(world: Tampering) -> None:
    """Adds an ephemeral container, as `kubectl debug` does."""
    name = world.find("Pod", "text-embeddings")
    body = {"spec": {"ephemeralContainers": [EXTRA_CONTAINER]}}
    media = "application/strategic-merge-patch+json"
    path = f"{world.path('Pod', name)}/ephemeralcontainers"
    query = {"fieldManager": "kubectl-debug"}
    world.kube.connection.request("PATCH", path, "Pod", query, body, media)


for _name, _make, _manager in (
    ("changed-pod", _change_pod, "kubectl-set"), ("debugged-pod", _debug_pod, "kubectl-debug"),
):  # fmt: skip
    special(_name, _make, "foreign Pod/text-embeddings* ", manager=_manager)
special("detached-pod", _detach, "foreign Pod/text-embeddings* ", manager="kubectl-label")
BY_NAME = {change.name: change for change in CHANGES}
assert len(BY_NAME) == len(CHANGES), json.dumps([change.name for change in CHANGES])
