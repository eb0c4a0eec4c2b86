"""Decides whether a foreign object touches the Pods of a stack: selects, sizes or limits them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from framework.engines.base import RecordedObject
from framework.kube.objects import Object
from framework.plan.rendered import selects

Labels = Mapping[str, str]
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
        elif kind == "HorizontalPodAutoscaler":
            target = spec.get("scaleTargetRef") or {}
            key = (namespace, str(target.get("kind")), str(target.get("name")))
            if (found := self._workloads.get(key)) is not None:
                yield found, f"scales {key[1]} {key[2]}"
        elif kind in ("Ingress", "HTTPRoute"):
            for name in _find_backends(spec):
                if (found := self._services.get((namespace, name))) is not None:
                    yield found, f"routes to Service {name}"
        elif kind in ("ResourceQuota", "LimitRange"):
            for model, owner, _ in pods:
                yield model, f"limits the Pods of {owner}"
        else:
            # Pods, or workloads that create Pods: a Service of ours may select them.
            labels = obj["metadata"].get("labels") or {}
            labels = labels if kind == "Pod" else _find_pod_labels(spec)
            for model, name, selector in self._selectors.get(namespace, []):
                if selector.items() <= labels.items():
                    takes = "takes" if kind == "Pod" else "its Pods take"
                    yield model, f"{takes} traffic of Service {name}"


def _find_pod_labels(spec: Mapping[str, Any]) -> Labels:
    template = spec.get("template")
    metadata = template.get("metadata") if isinstance(template, Mapping) else None
    return (metadata or {}).get("labels") or {}


def _find_backends(spec: Any) -> Iterable[str]:
    """Yields the names of the Services that an Ingress or an HTTPRoute sends requests to."""
    if isinstance(spec, Mapping):
        service = spec.get("service")
        if isinstance(service, Mapping) and "name" in service:
            yield str(service["name"])
        for reference in spec.get("backendRefs") or ():
            if reference.get("kind", "Service") == "Service":
                yield str(reference.get("name"))
        for value in spec.values():
            yield from _find_backends(value)
    elif isinstance(spec, list):
        for value in spec:
            yield from _find_backends(value)
