"""Decides whether a foreign object touches the Pods of a stack: selects, sizes or limits them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from framework.engines.base import RecordedObject
from framework.kube.objects import Object
from framework.plan.rendered import selects

Labels = Mapping[str, str]
# The kinds that size a workload: the field that names it, and what they do to it.
_TARGETS = {
    "HorizontalPodAutoscaler": ("scaleTargetRef", "scales"),
    "ScaledObject": ("scaleTargetRef", "scales"),
    "VerticalPodAutoscaler": ("targetRef", "sets the resources of"),
    "Rollout": ("workloadRef", "scales down"),
}
_ISTIO = ("VirtualService", "DestinationRule")
# The model of some Pods, "" for none; the words that name it; their labels.
_Pods = tuple[str, str, Labels]


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
                self._pods.setdefault(namespace, []).append((obj.component, owner, labels))

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
            for model, owner, labels in pods:
                if selector and selector.items() <= labels.items():
                    yield model, f"selects Pods of {owner}"
        elif kind in ("PodDisruptionBudget", "NetworkPolicy"):
            # Here an empty selector selects all Pods; that of a Service selects none.
            selector = spec.get("selector" if kind == "PodDisruptionBudget" else "podSelector")
            for model, owner, labels in pods:
                if selector is not None and selects(selector, labels):
                    yield model, f"selects Pods of {owner}"
        elif kind in _TARGETS:
            field, verb = _TARGETS[kind]
            target = spec.get(field) or {}
            # A ScaledObject may leave out the kind.
            workload = (str(target.get("kind") or "Deployment"), str(target.get("name")))
            if (found := self._workloads.get((namespace, *workload))) is not None:
                yield found, f"{verb} {' '.join(workload)}"
            elif kind == "Rollout":
                yield from self._find_takers(kind, _find_pod_labels(spec), namespace)
        elif kind in ("Ingress", "HTTPRoute", "GRPCRoute", *_ISTIO):
            find = _find_hosts if kind in _ISTIO else _find_backends
            for service in find(spec, namespace):
                if (found := self._services.get(service)) is not None:
                    yield found, f"routes to Service {service[1]}"
        elif kind == "EndpointSlice":
            # One of Kubernetes' own is owned by its Service.
            labels = obj["metadata"].get("labels") or {}
            name = str(labels.get("kubernetes.io/service-name"))
            if (found := self._services.get((namespace, name))) is not None:
                yield found, f"adds endpoints to Service {name}"
        elif kind in ("ResourceQuota", "LimitRange"):
            for model, owner, _ in pods:
                yield model, f"limits the Pods of {owner}"
        else:
            # Pods, or workloads that create Pods: a Service of ours may select them.
            labels = obj["metadata"].get("labels") or {}
            labels = labels if kind == "Pod" else _find_pod_labels(spec)
            yield from self._find_takers(kind, labels, namespace)

    def _find_takers(self, kind: str, labels: Labels, namespace: str) -> Iterator[tuple[str, str]]:
        for model, name, selector in self._selectors.get(namespace, []):
            if selector.items() <= labels.items():
                takes = "takes" if kind == "Pod" else "its Pods take"
                yield model, f"{takes} traffic of Service {name}"


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
        for reference in spec.get("backendRefs") or ():
            if reference.get("kind", "Service") == "Service":
                yield str(reference.get("namespace") or namespace), str(reference.get("name"))
        for value in spec.values():
            yield from _find_backends(value, namespace)
    elif isinstance(spec, list):
        for value in spec:
            yield from _find_backends(value, namespace)


def _find_hosts(spec: Any, namespace: str) -> Iterator[tuple[str, str]]:
    """Yields the Namespace and the name of each Service that an object of Istio names."""
    if isinstance(spec, Mapping):
        if isinstance(host := spec.get("host"), str):
            # `churn`, `churn.ml-prod` or `churn.ml-prod.svc.cluster.local`.
            name, _, rest = host.partition(".")
            yield rest.partition(".")[0] or namespace, name
        for value in spec.values():
            yield from _find_hosts(value, namespace)
    elif isinstance(spec, list):
        for value in spec:
            yield from _find_hosts(value, namespace)
