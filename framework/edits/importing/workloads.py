"""Finds the objects that belong to each Deployment: by selector, by reference, by volume."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from framework.edits.importing.manifests import COMPANION_KINDS, SCALED_OBJECT, Source

NO_SETTING = "a model has no setting for this kind"


@dataclass(frozen=True, eq=False)
class Workload:
    """One Deployment and its objects.

    `companions` become settings of the model. `others` belong to the model too, but its settings
    have no place for them.
    """

    deployment: Source
    companions: tuple[Source, ...] = ()
    others: tuple[Source, ...] = ()

    @property
    def name(self) -> str:
        """The name of the Deployment."""
        return self.deployment.name

    @property
    def pod(self) -> Mapping[str, Any]:
        """The spec of the Pods."""
        return pod_of(self.deployment)

    def find_all(self, kind: str) -> list[Source]:
        """Returns the companions of a kind."""
        return [source for source in self.companions if source.kind == kind]


@dataclass(frozen=True)
class Grouping:
    """The workloads of some manifests, and the objects that belong to none of them.

    `leftovers` maps each of these objects to the reason why it is not imported.
    """

    workloads: tuple[Workload, ...]
    leftovers: Mapping[Source, str] = field(default_factory=dict)


def pod_of(deployment: Source) -> Mapping[str, Any]:
    """Returns the spec of a Deployment's Pods; empty where the manifest has none."""
    return get_mapping(deployment.object, "spec", "template", "spec")


def pod_labels(deployment: Source) -> Mapping[str, str]:
    """Returns the labels of a Deployment's Pods."""
    return get_mapping(deployment.object, "spec", "template", "metadata", "labels")


def get_mapping(value: Any, *path: str) -> Mapping[str, Any]:
    """Returns the mapping at a path; {} where there is none, or another shape by mistake."""
    for key in path:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value if isinstance(value, Mapping) else {}


def group_manifests(sources: Sequence[Source]) -> Grouping:
    """Assigns every object to the Deployment that it belongs to."""
    deployments = [source for source in sources if source.kind == "Deployment"]
    owners: dict[Source, list[Source]] = {}
    rest = [source for source in sources if source.kind != "Deployment"]
    # Ingresses name Services, so the Services are assigned before them.
    for source in sorted(rest, key=lambda source: source.kind == "Ingress"):
        owners[source] = [d for d in deployments if _belongs(source, d, owners)]
    workloads = []
    leftovers: dict[Source, str] = {}
    for source, found in owners.items():
        if reason := _leftover_reason(source, found, owners):
            leftovers[source] = reason
    for deployment in deployments:
        own = [s for s in rest if s not in leftovers and owners[s] == [deployment]]
        near = [s for s in leftovers if _is_beside(s, deployment, deployments, leftovers)]
        others = [*near, *(s for s in own if s.kind == SCALED_OBJECT)]
        own = [s for s in own if s.kind != SCALED_OBJECT]
        workloads.append(Workload(deployment, tuple(own), tuple(others)))
    assigned = {source for workload in workloads for source in workload.others}
    return Grouping(
        tuple(workloads), {s: reason for s, reason in leftovers.items() if s not in assigned}
    )


def _leftover_reason(
    source: Source, owners: Sequence[Source], others: Mapping[Source, list[Source]]
) -> str:
    if source.kind == "Secret":
        return "secrets stay outside the catalog; the model refers to it by name"
    if source.kind not in COMPANION_KINDS:
        return NO_SETTING
    if not owners:
        return "no Deployment of these files refers to it, or is selected by it"
    if len(owners) > 1:
        names = ", ".join(owner.name for owner in owners)
        return f"several Deployments use it: {names}"
    if source.kind == "HorizontalPodAutoscaler":
        scaled = [s for s, found in others.items() if s.kind == SCALED_OBJECT and found == owners]
        if scaled:
            return f"{scaled[0]} makes it, and is kept"
    return ""


def _is_beside(
    source: Source,
    deployment: Source,
    deployments: Sequence[Source],
    leftovers: Mapping[Source, str],
) -> bool:
    """Returns True for an object of another kind beside the only Deployment of its file.

    A ServiceMonitor in the file of one Deployment belongs to it, although nothing refers to it. A
    file without a Deployment counts as one with all Deployments.
    """
    if source.kind in COMPANION_KINDS or source.kind in ("Secret", "Namespace"):
        return False
    file = source.position.path
    here = [d for d in deployments if d.position.path == file] or list(deployments)
    return here == [deployment]


def _belongs(source: Source, deployment: Source, owners: Mapping[Source, list[Source]]) -> bool:
    # A manifest without a Namespace is deployed to the Namespace of `kubectl apply`, so it fits
    # any.
    if source.namespace and deployment.namespace and source.namespace != deployment.namespace:
        return False
    pod, spec = pod_of(deployment), get_mapping(source.object, "spec")
    match source.kind:
        case "Service":
            return _selects(get_mapping(spec, "selector"), deployment)
        case "PodDisruptionBudget":
            return _selects(get_mapping(spec, "selector", "matchLabels"), deployment)
        case "NetworkPolicy":
            return _selects(get_mapping(spec, "podSelector", "matchLabels"), deployment)
        case "HorizontalPodAutoscaler" | "ScaledObject":
            target = get_mapping(spec, "scaleTargetRef")
            # KEDA scales a Deployment where no kind is given.
            kind = target.get("kind", "Deployment")
            return bool(kind == "Deployment" and target.get("name") == deployment.name)
        case "Ingress":
            own = [s for s, found in owners.items() if found == [deployment]]
            services = {s.name for s in own if s.kind == "Service"}
            return any(str(backend["name"]) in services for backend in list_backends(source.object))
        case "PersistentVolumeClaim":
            claims = [get_mapping(v, "persistentVolumeClaim") for v in _items(pod.get("volumes"))]
            return source.name in [claim.get("claimName") for claim in claims]
        case "ServiceAccount":
            # The second is the old name of the field, which servers still write.
            return source.name in (pod.get("serviceAccountName"), pod.get("serviceAccount"))
        case "ConfigMap":
            return source.name in _config_maps(pod)
    return False


def _selects(wanted: Mapping[str, Any], deployment: Source) -> bool:
    """Returns True if the labels of the Pods match; an empty selector matches none."""
    labels = pod_labels(deployment)
    # An empty selector of a Service selects no Pods: its Endpoints are written by hand.
    return bool(wanted) and all(labels.get(key) == value for key, value in wanted.items())


def list_backends(ingress: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yields the Service of each backend of an Ingress, with its name and port."""
    spec = get_mapping(ingress, "spec")
    backends = [get_mapping(spec, "defaultBackend")]
    for rule in _items(spec.get("rules")):
        paths = _items(get_mapping(rule, "http").get("paths"))
        backends += [get_mapping(path, "backend") for path in paths]
    for backend in backends:
        service = backend.get("service")
        if isinstance(service, dict) and service.get("name"):
            yield service


def _items(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _config_maps(value: Any) -> Iterator[str]:
    """Yields the name of each ConfigMap that a Pod refers to, in any field."""
    items: Iterable[Any] = value.values() if isinstance(value, Mapping) else value
    if isinstance(value, Mapping):
        for key in ("configMap", "configMapRef", "configMapKeyRef"):
            if isinstance(value.get(key), Mapping) and "name" in value[key]:
                yield value[key]["name"]
    for item in items:
        if isinstance(item, Mapping | list):
            yield from _config_maps(item)
