"""Decides whether a foreign object touches the Pods of a stack: selects, sizes or limits them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from framework.drift.custom_kinds import WORKLOAD_KINDS, Touch, list_custom_kinds
from framework.engines.base import RecordedObject
from framework.kube.objects import Object
from framework.plan.rendered import selects

Labels = Mapping[str, str]
VERTICAL_AUTOSCALER = ("autoscaling.k8s.io", "VerticalPodAutoscaler")
"""The group and the kind of what may change the resources of running Pods."""
# The kinds that size a workload, or run its Pods: the field that names it, and what they do to it.
_TARGETS = {
    "HorizontalPodAutoscaler": ("scaleTargetRef", "scales"),
    **{kind.name: (kind.field, kind.verb) for kind in list_custom_kinds(Touch.SIZES, Touch.RUNS)},
}
# The kinds with a label selector of Kubernetes, and its field.
_SELECTORS = {
    "PodDisruptionBudget": "selector",
    "NetworkPolicy": "podSelector",
    **{kind.name: kind.field for kind in list_custom_kinds(Touch.SELECTS)},
}
_HOST_ROUTES = {kind.name for kind in list_custom_kinds(Touch.ROUTES_TO_HOSTS)}
_BACKEND_ROUTES = {kind.name for kind in list_custom_kinds(Touch.ROUTES_TO_BACKENDS)}
# The path of the labels that select the Pods. Without them, and without a target, an object is for
# all Pods of its Namespace.
_MESH_SELECTORS = {
    kind.name: kind.field.split(".") for kind in list_custom_kinds(Touch.SELECTS_FOR_MESH)
}
# Labels that Cilium gives each Pod: from its ServiceAccount, and from its Namespace. The check does
# not know the name of the cluster, nor the labels of the Namespace.
_CILIUM_ACCOUNT = "io.cilium.k8s.policy.serviceaccount"
_CILIUM_NAMESPACE = "io.kubernetes.pod.namespace"
_CILIUM_UNKNOWN = ("io.cilium.k8s.policy.cluster", "io.cilium.k8s.namespace.labels.")
# The model of some Pods, "" for none; the words that name it; their labels, also those of Cilium.
_Pods = tuple[str, str, Labels, Labels]


class StackPods:
    """The labels of a stack's Pods, and the selectors of its Services, with their models."""

    def __init__(self, recorded: Sequence[RecordedObject]) -> None:
        # By Namespace, because a selector selects only in its own.
        self._pods: dict[str, list[_Pods]] = {}
        self._selectors: dict[str, list[tuple[str, str, Labels]]] = {}
        self._workloads: dict[tuple[str, str, str], str] = {}
        self._services: dict[tuple[str, str], str] = {}
        for obj in recorded:
            namespace, _, name = obj.id.rpartition("/")
            kind, spec = obj.inputs.get("kind"), obj.inputs.get("spec") or {}
            if kind == "Service":
                self._services[namespace, name] = obj.component
                if selector := spec.get("selector"):
                    named = (obj.component, name, selector)
                    self._selectors.setdefault(namespace, []).append(named)
                continue
            self._workloads[namespace, str(kind), name] = obj.component
            if labels := _find_pod_labels(spec):
                # A Deployment of no model is named itself.
                owner = obj.component or f"{kind} {name}"
                own = {**labels, **_find_cilium_labels(spec, namespace)}
                self._pods.setdefault(namespace, []).append((obj.component, owner, labels, own))

    def describe_touch(self, obj: Object) -> tuple[str, str]:
        """Returns the model that a foreign object touches, and what it does to its Pods.

        Both are "" for an object that touches none; the model is "" where several are touched.
        """
        touches = dict(self._find_touches(obj, obj["metadata"].get("namespace", "")))
        if not touches:
            return "", ""
        models = sorted(touches)
        effect = touches[models[0]]
        if len(models) == 1:
            return models[0], effect
        return "", f"{effect} and {len(models) - 1} more"

    def _find_touches(self, obj: Object, namespace: str) -> Iterator[tuple[str, str]]:
        kind, spec = obj["kind"], obj.get("spec") or {}
        pods = self._pods.get(namespace, [])
        if kind == "Service":
            selector = spec.get("selector") or {}
            for model, owner, labels, _ in pods:
                if selector and selector.items() <= labels.items():
                    yield model, f"selects Pods of {owner}"
        elif kind in _SELECTORS:
            # Here an empty selector selects all Pods; that of a Service selects none.
            for selector in _find_selectors(obj, _SELECTORS[kind]):
                for model, owner, labels, cilium in pods:
                    if selects(selector, cilium if kind == "CiliumNetworkPolicy" else labels):
                        yield model, f"selects Pods of {owner}"
        elif kind in _MESH_SELECTORS:
            yield from self._find_mesh_touches(kind, spec, namespace)
        elif kind in _TARGETS:
            field, verb = _TARGETS[kind]
            target = spec.get(field) or {}
            # A ScaledObject may leave out the kind.
            workload = (str(target.get("kind") or "Deployment"), str(target.get("name")))
            if _only_recommends(spec):
                return
            if (found := self._workloads.get((namespace, *workload))) is not None:
                yield found, f"{verb} {' '.join(workload)}"
            elif kind in WORKLOAD_KINDS:
                yield from self._find_takers(kind, _find_pod_labels(spec), namespace)
        elif kind == "Ingress" or kind in _BACKEND_ROUTES | _HOST_ROUTES:
            yield from self._find_routes(kind, spec, namespace)
        elif kind == "EndpointSlice":
            # One of Kubernetes' own is owned by its Service.
            labels = obj["metadata"].get("labels") or {}
            name = str(labels.get("kubernetes.io/service-name"))
            if (found := self._services.get((namespace, name))) is not None:
                yield found, f"adds endpoints to Service {name}"
        elif kind in ("ResourceQuota", "LimitRange"):
            for model, owner, *_ in pods:
                yield model, f"limits the Pods of {owner}"
        else:
            # Pods, or workloads that create Pods: a Service of ours may select them.
            labels = obj["metadata"].get("labels") or {}
            labels = labels if kind == "Pod" else _find_pod_labels(spec)
            yield from self._find_takers(kind, labels, namespace)

    def _find_mesh_touches(
        self, kind: str, spec: Mapping[str, Any], namespace: str
    ) -> Iterator[tuple[str, str]]:
        if targets := spec.get("targetRefs") or (
            [spec["targetRef"]] if spec.get("targetRef") else ()
        ):
            # It is for these alone, which may be the Gateway of another team. A Service of ours is
            # touched; the workloads behind a Gateway are not known.
            for target in targets:
                if target.get("kind") == "Service":
                    there = str(target.get("namespace") or namespace)
                    for model, name in self._find_services(there, str(target.get("name"))):
                        yield model, f"targets Service {name}"
            return
        first, second = _MESH_SELECTORS[kind]
        wanted = (spec.get(first) or {}).get(second) or {}
        for model, owner, labels, _ in self._pods.get(namespace, []):
            if wanted.items() <= labels.items():
                yield model, f"selects Pods of {owner}"

    def _find_routes(
        self, kind: str, spec: Mapping[str, Any], namespace: str
    ) -> Iterator[tuple[str, str]]:
        find = _find_destinations if kind in _HOST_ROUTES else _find_backends
        for effect, names in (
            ("routes to", find(spec, namespace)),
            ("takes traffic of", _find_intercepted(kind, spec, namespace)),
        ):
            for service in names:
                for model, name in self._find_services(*service):
                    yield model, f"{effect} Service {name}"

    def _find_services(self, namespace: str, name: str) -> Iterator[tuple[str, str]]:
        """Yields the models and names of our Services; the name `*` stands for all of them."""
        if name != "*":
            if (model := self._services.get((namespace, name))) is not None:
                yield model, name
            return
        for (other, found), model in self._services.items():
            if other == namespace:
                yield model, found

    def _find_takers(self, kind: str, labels: Labels, namespace: str) -> Iterator[tuple[str, str]]:
        for model, name, selector in self._selectors.get(namespace, []):
            if selector.items() <= labels.items():
                takes = "takes" if kind == "Pod" else "its Pods take"
                yield model, f"{takes} traffic of Service {name}"


def _find_selectors(obj: Object, field: str) -> Iterator[Mapping[str, Any]]:
    """Yields the selectors of an object; a CiliumNetworkPolicy may have several specs."""
    for spec in (obj.get("spec") or {}, *(obj.get("specs") or ())):
        if spec.get(field) is not None:
            selector = spec[field]
            yield _read_cilium(selector) if obj["kind"] == "CiliumNetworkPolicy" else selector


def _read_cilium(selector: Mapping[str, Any]) -> Mapping[str, Any]:
    """Returns a selector of Cilium without the sources of labels, as in `k8s:app`.

    Terms that the check cannot decide count as met, because a policy that is not reported may cut
    off a model. Cilium ignores the Namespace in `matchLabels`: the policy is for its own.
    """
    labels = {
        key.rpartition(":")[2]: value for key, value in (selector.get("matchLabels") or {}).items()
    }
    terms = [
        {**term, "key": term["key"].rpartition(":")[2]}
        for term in selector.get("matchExpressions") or ()
    ]
    ignored = (*_CILIUM_UNKNOWN, _CILIUM_NAMESPACE)
    return {
        "matchLabels": {k: value for k, value in labels.items() if not k.startswith(ignored)},
        "matchExpressions": [t for t in terms if not t["key"].startswith(_CILIUM_UNKNOWN)],
    }


def _find_cilium_labels(spec: Mapping[str, Any], namespace: str) -> dict[str, str]:
    """Returns the labels that Cilium itself gives the Pods of a workload."""
    template = spec.get("template")
    pod = (template.get("spec") if isinstance(template, Mapping) else None) or {}
    account = str(pod.get("serviceAccountName") or "default")
    return {_CILIUM_NAMESPACE: namespace, _CILIUM_ACCOUNT: account}


def _find_pod_labels(spec: Mapping[str, Any]) -> Labels:
    template = spec.get("template")
    metadata = template.get("metadata") if isinstance(template, Mapping) else None
    return (metadata or {}).get("labels") or {}


def _find_backends(spec: Any, namespace: str) -> Iterator[tuple[str, str]]:
    """Yields the Namespace and the name of each Service that a route sends requests to."""
    if isinstance(spec, Mapping):
        service = spec.get("service")
        if isinstance(service, Mapping) and "name" in service:
            yield namespace, str(service["name"])
        single = [spec["backendRef"]] if isinstance(spec.get("backendRef"), Mapping) else []
        for reference in (*(spec.get("backendRefs") or ()), *single):
            if reference.get("kind", "Service") == "Service":
                yield str(reference.get("namespace") or namespace), str(reference.get("name"))
        for value in spec.values():
            yield from _find_backends(value, namespace)
    elif isinstance(spec, list):
        for value in spec:
            yield from _find_backends(value, namespace)


def find_resized(objects: Iterable[Object]) -> set[tuple[str, str]]:
    """Returns the kind and name of each workload whose Pods a VerticalPodAutoscaler resizes."""
    found = set()
    for obj in objects:
        spec = obj.get("spec") or {}
        if obj["kind"] == VERTICAL_AUTOSCALER[1] and not _only_recommends(spec):
            target = spec.get("targetRef") or {}
            found.add((str(target.get("kind")), str(target.get("name"))))
    return found


def _only_recommends(spec: Mapping[str, Any]) -> bool:
    """Returns True for a VerticalPodAutoscaler that changes no Pod."""
    return bool((spec.get("updatePolicy") or {}).get("updateMode") == "Off")


def _find_intercepted(
    kind: str, spec: Mapping[str, Any], namespace: str
) -> Iterator[tuple[str, str]]:
    """Yields each Service whose own traffic a route of a mesh takes over."""
    if kind == "VirtualService":
        for host in spec.get("hosts") or ():
            yield from _parse_host(str(host), namespace)
    elif kind in _BACKEND_ROUTES:
        for parent in spec.get("parentRefs") or ():
            if parent.get("kind") == "Service":
                yield str(parent.get("namespace") or namespace), str(parent.get("name"))


def _find_destinations(spec: Any, namespace: str) -> Iterator[tuple[str, str]]:
    """Yields the Namespace and the name of each Service that an object of Istio sends requests to.

    A DestinationRule names it as `host`, a VirtualService as the host of `destination` or `mirror`.
    """
    if isinstance(spec.get("host"), str):
        yield from _parse_host(spec["host"], namespace)
    for part in _walk_mappings(spec):
        for name in ("destination", "mirror"):
            target = part.get(name)
            if isinstance(target, Mapping) and isinstance(target.get("host"), str):
                yield from _parse_host(target["host"], namespace)


def _walk_mappings(tree: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(tree, Mapping):
        yield tree
    for child in tree.values() if isinstance(tree, Mapping) else tree:
        if isinstance(child, Mapping | list):
            yield from _walk_mappings(child)


def _parse_host(host: str, namespace: str) -> Iterator[tuple[str, str]]:
    """Yields the Service of a host: `churn`, `churn.ml-prod` or `churn.ml-prod.svc.cluster.local`.

    The first part may be `*`. Any other name, such as `churn.prod.example.com`, is not one of this
    cluster.
    """
    name, *rest = host.split(".")
    if len(rest) < 2 or rest[1] == "svc":
        yield rest[0] if rest else namespace, name
