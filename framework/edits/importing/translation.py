"""Writes the objects of a workload with the names that the framework gives to them.

The framework chooses the names of a model's objects, of its container and of the labels in its
selectors. Once the manifest has these names too, every difference that remains is a real one. Each
changed name is recorded, because something outside of the manifests may refer to it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

from framework.core.diagnostics import KeyPath
from framework.edits.importing.config_files import take_configs, translate_volume_names
from framework.edits.importing.containers import list_containers, unused_name
from framework.edits.importing.manifests import SCALED_OBJECT, Source
from framework.edits.importing.workloads import (
    NO_SETTING,
    Workload,
    get_mapping,
    list_backends,
)
from framework.kinds.naming import NAME_LABEL, RESERVED_LABELS, build_selector
from framework.kinds.persistent_volume_claim import claim_name
from framework.plan.annotations import rename_containers
from framework.settings.reserved import MODEL_CONTAINER

_HTTP_PORTS = frozenset({80, 3000, 5000, 8000, 8080, 8888, 30000})
# The kinds of which a model has at most one object.
_SINGLE = (
    "ServiceAccount", "HorizontalPodAutoscaler", "PodDisruptionBudget", "Ingress", "NetworkPolicy",
)  # fmt: skip


@dataclass
class Translation:
    """A workload in the framework's names.

    `objects` has the objects that become settings, the Deployment first. `renamed` has one line for
    each name that changes, `unexpressed` the reason for each object that is left out. `claims` has
    the volumes whose PersistentVolumeClaim the model creates, `service_keys` the key in `services`
    of each further Service by its name, `configs` the setting `config` of each container. `extra`
    has the manifests for the setting `objects`, and `kept` why each of these stays as it is.
    `scaling` is the setting `autoscaling` if a ScaledObject of `extra` sets the number of Pods.
    `dropped` has the kind, path and value of each field that the model must not have, () for a
    whole object. `container_names` has the new name of each renamed container by its old one.
    `refused` has the settings that validation refuses, with the reasons.
    """

    workload: Workload
    model: str
    objects: list[dict[str, Any]] = field(default_factory=list)
    renamed: list[str] = field(default_factory=list)
    unexpressed: dict[Source, str] = field(default_factory=dict)
    claims: dict[str, dict[str, Any]] = field(default_factory=dict)
    extra: dict[str, dict[str, Any]] = field(default_factory=dict)
    service_keys: dict[str, str] = field(default_factory=dict)
    kept: dict[Source, str] = field(default_factory=dict)
    scaling: dict[str, Any] | None = None
    configs: dict[str, dict[str, Any]] = field(default_factory=dict)
    dropped: list[tuple[str, KeyPath, Any]] = field(default_factory=list)
    container_names: dict[str, str] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)

    @property
    def deployment(self) -> dict[str, Any]:
        """The Deployment."""
        return self.objects[0]

    @property
    def pod(self) -> dict[str, Any]:
        """The spec of the Pods."""
        pod: dict[str, Any] = self.deployment["spec"]["template"]["spec"]
        return pod

    @property
    def main(self) -> dict[str, Any]:
        """The container of the model."""
        return next(c for c in self.pod["containers"] if c["name"] == MODEL_CONTAINER)

    @property
    def errors(self) -> tuple[str, ...]:
        """The refused settings as lines, for a workload that no valid model can be made of."""
        where = self.workload.deployment.position
        return tuple(f"{where}: {path} {reason}" for path, reason in self.refused.items())

    def find(self, kind: str) -> dict[str, Any] | None:
        """Returns the object of a kind, None without one."""
        return next((obj for obj in self.objects if obj["kind"] == kind), None)

    def rename(self, what: str, before: Any, after: Any) -> None:
        """Records that a name changes."""
        if before != after:
            self.note(f"{what} {before} -> {after}")

    def note(self, line: str) -> None:
        """Adds a line to `renamed`, once."""
        if line not in self.renamed:
            self.renamed.append(line)

    def rename_container(self, what: str, container: dict[str, Any], name: str) -> None:
        """Gives a container of the Pods another name, and records it."""
        before = str(container.get("name", ""))
        self.rename(what, before, name)
        self.container_names[before] = container["name"] = name


def translate(workload: Workload, model: str) -> Translation:
    """Returns the objects of a workload with the names that they have as the model `model`."""
    result = Translation(workload, model)
    for source in (workload.deployment, *workload.companions):
        for name in source.removed:
            result.note(f"{name} of {source} removed: the cluster has chosen it")
    _translate_deployment(result)
    for service in result.workload.find_all("Service"):
        # Its name stays, because clients use it.
        obj = deepcopy(service.object)
        obj["metadata"].pop("namespace", None)
        obj["spec"]["selector"] = {NAME_LABEL: model}
        result.objects.append(obj)
    for kind in _SINGLE:
        _take_single(result, kind)
    _translate_ports(result)
    _translate_init_names(result)
    _translate_container_references(result)
    _take_claims(result)
    translate_volume_names(result)
    take_configs(result)
    _take_extra(result)
    _share_labels(result)
    return result


def _translate_deployment(result: Translation) -> None:
    # Older API versions, such as extensions/v1beta1, had the same fields.
    deployment = {**deepcopy(result.workload.deployment.object), "apiVersion": "apps/v1"}
    result.objects.append(deployment)
    spec = deployment.setdefault("spec", {})
    template = spec.setdefault("template", {})
    pod = template.setdefault("spec", {})
    containers = pod.setdefault("containers", [])
    main = _choose_main(result.workload)
    before = main.get("name", "")
    for container in containers:
        if container.get("name") == MODEL_CONTAINER and before != MODEL_CONTAINER:
            name = unused_name(MODEL_CONTAINER, (c.get("name") for c in containers))
            result.rename_container("container", container, name)
    # `main` is of the original manifest, and `containers` are copies: only the index is the same in
    # both.
    index = result.workload.pod["containers"].index(main)
    result.rename_container("container", containers[index], MODEL_CONTAINER)
    old = (spec.get("selector") or {}).get("matchLabels") or {}
    selector = build_selector(result.model, "stable")
    result.rename("selector", _show_labels(old), _show_labels(selector))
    spec["selector"] = {"matchLabels": selector}
    _name_object(result, deployment)
    for constraint in pod.get("topologySpreadConstraints") or ():
        labels = (constraint.get("labelSelector") or {}).get("matchLabels") or {}
        # A constraint that counts the Pods of another workload keeps its own selector.
        if labels.items() <= (template.get("metadata", {}).get("labels") or {}).items():
            constraint["labelSelector"] = {"matchLabels": selector}


def _choose_main(workload: Workload) -> Mapping[str, Any]:
    """Returns the model's container: the one with a GPU, else the one behind the Service."""
    containers = workload.pod["containers"]
    targets = {
        str(port.get("targetPort", port.get("port")))
        for service in workload.find_all("Service")
        for port in service.object["spec"].get("ports") or ()
    }

    def rank(container: Mapping[str, Any]) -> tuple[bool, ...]:
        limits = (container.get("resources") or {}).get("limits") or {}
        ports = container.get("ports") or ()
        served = {str(p.get("containerPort")) for p in ports} | {str(p.get("name")) for p in ports}
        return (
            container.get("name") == MODEL_CONTAINER,
            any("/" in name for name in limits),
            bool(served & targets),
            container.get("name") == workload.name,
        )

    # max() takes the first of several that are equal.
    best: Mapping[str, Any] = max(containers, key=rank)
    return best


def _name_object(result: Translation, obj: dict[str, Any], name: str = "") -> None:
    metadata = obj["metadata"]
    name = name or result.model
    result.rename(obj["kind"], metadata.get("name"), name)
    metadata["name"] = name
    metadata.pop("namespace", None)


def _show_labels(labels: Mapping[str, str]) -> str:
    return ",".join(f"{key}={value}" for key, value in labels.items())


def _take_single(result: Translation, kind: str) -> None:
    """Translates the companion of a kind; a model has no settings for a second one."""
    found = result.workload.find_all(kind)
    for source in found[1:]:
        result.unexpressed[source] = f"the model has another {kind} already"
    if not found:
        return
    source = found[0]
    if kind == "ServiceAccount" and source.name != result.model:
        # Roles and cloud identities are bound to its name, so the model keeps using this one.
        result.unexpressed[source] = "the model refers to it by name; it is not created with it"
        return
    obj = deepcopy(source.object)
    services = {service.name for service in result.workload.find_all("Service")}
    if kind == "Ingress" and any(str(b["name"]) not in services for b in list_backends(obj)):
        result.unexpressed[source] = "sends requests to other Services as well"
        return
    result.objects.append(obj)
    _name_object(result, obj)
    selector = {"matchLabels": {NAME_LABEL: result.model}}
    spec = obj.get("spec", {})
    if kind == "PodDisruptionBudget":
        spec["selector"] = selector
        obj["apiVersion"] = "policy/v1"
    elif kind == "NetworkPolicy":
        spec["podSelector"] = selector
    elif kind == "HorizontalPodAutoscaler":
        _translate_autoscaler(obj, result)


def _translate_autoscaler(obj: dict[str, Any], result: Translation) -> None:
    """Writes an autoscaler of an older version as autoscaling/v2 has it."""
    spec = obj["spec"]
    obj["apiVersion"] = "autoscaling/v2"
    _drop_replicas(result)
    spec["scaleTargetRef"] = {"apiVersion": "apps/v1", "kind": "Deployment", "name": result.model}
    for metric in spec.get("metrics") or ():
        _rename_container(metric.get("containerResource") or {}, "container", result)
    # The field of autoscaling/v1, which knew no other metric.
    cpu = spec.pop("targetCPUUtilizationPercentage", None)
    if cpu is not None:
        target = {"type": "Utilization", "averageUtilization": cpu}
        spec["metrics"] = [{"type": "Resource", "resource": {"name": "cpu", "target": target}}]


def _rename_container(holder: dict[str, Any], key: str, result: Translation) -> None:
    name = holder.get(key)
    if isinstance(name, str):
        holder[key] = result.container_names.get(name, name)


def _drop_replicas(result: Translation) -> None:
    if "replicas" in result.deployment["spec"]:
        result.renamed.append("spec.replicas removed: the autoscaler sets it")
        del result.deployment["spec"]["replicas"]


def _translate_scaled_object(obj: dict[str, Any], result: Translation) -> None:
    """Lets a ScaledObject of this Deployment set the number of Pods, within its limits."""
    spec = get_mapping(obj, "spec")
    target = get_mapping(spec, "scaleTargetRef")
    # The defaults of KEDA: https://keda.sh/docs/latest/reference/scaledobject-spec
    low, high = spec.get("minReplicaCount", 0), spec.get("maxReplicaCount", 100)
    if not (isinstance(low, int) and isinstance(high, int) and 0 <= low <= high != 0):
        return
    obj["spec"]["scaleTargetRef"] = {**target, "name": result.model}
    _rename_container(obj["spec"]["scaleTargetRef"], "envSourceContainerName", result)
    result.rename("target of the ScaledObject", target.get("name"), result.model)
    result.scaling = {"external": True, "minReplicas": low, "maxReplicas": high}
    _drop_replicas(result)


def _translate_subjects(obj: dict[str, Any], source: Source, result: Translation) -> None:
    """Lets a RoleBinding name the ServiceAccounts of its own Namespace, which changes."""
    before = result.workload.deployment.namespace
    subjects = obj.get("subjects")
    for subject in subjects if isinstance(subjects, list) else ():
        found = get_mapping(subject)
        if before and (found.get("kind"), found.get("namespace")) == ("ServiceAccount", before):
            del subject["namespace"]
            result.note(f"Namespace {before} of the subjects of {source} removed: its own is used")


def _translate_ports(result: Translation) -> None:
    """Gives every port of the model a name, and lets probes and the Service use it."""
    services = [obj for obj in result.objects if obj["kind"] == "Service"]
    served = [port for service in services for port in service["spec"].get("ports") or ()]
    ports = result.main.setdefault("ports", [])
    elsewhere = {
        str(value)
        for container in list_containers(result.pod)
        if container is not result.main
        for port in container.get("ports") or ()
        for value in (port.get("containerPort"), port.get("name"))
    }
    for port in served:
        target = port.get("targetPort", port.get("port"))
        known = {str(p.get("containerPort")) for p in ports} | {str(p.get("name")) for p in ports}
        # A container may listen on a port that its manifest does not list.
        if str(target).isdigit() and str(target) not in known | elsewhere:
            protocol = {"protocol": port["protocol"]} if "protocol" in port else {}
            # A port in the manifest is documentation only
            # (https://kubernetes.io/docs/reference/kubernetes-api, PodSpec), so the Service worked
            # without it. The framework builds the Service from it.
            ports.append({"containerPort": int(target), **protocol})
    for port in ports:
        if not port.get("name"):
            port["name"] = _name_port(port, served, ports)
    names = {port.get("containerPort"): port["name"] for port in ports}
    for port in served:
        target = port.get("targetPort", port.get("port"))
        if str(target).isdigit():
            target = int(target)
        port["targetPort"] = names.get(target, target)
        if not port.get("name"):
            port["name"] = str(port["targetPort"])
    for action in _actions(result.main):
        if str(action.get("port")).isdigit():
            action["port"] = int(action["port"])
            action["port"] = names.get(action["port"], action["port"])
    if not ports:
        del result.main["ports"]
    _name_other_ports(result)
    _translate_ingress_ports(result, services)


def _name_port(
    port: Mapping[str, Any], served: Iterable[Mapping[str, Any]], ports: Iterable[Mapping[str, Any]]
) -> str:
    number = port.get("containerPort")
    taken = {str(p["name"]) for p in ports if p.get("name")}
    wanted = [
        str(s["name"])
        for s in served
        if s.get("name") and str(s.get("targetPort", s.get("port"))) == str(number)
    ]
    if number in _HTTP_PORTS or len(list(ports)) == 1:
        wanted.append("http")
    return next(
        (name for name in wanted if name not in taken and len(name) <= 15), f"port-{number}"
    )


def _name_other_ports(result: Translation) -> None:
    """Names the ports of the other containers, which are listed by name."""
    ports = [p for container in list_containers(result.pod) for p in container.get("ports") or ()]
    taken = {port.get("name") for port in ports}
    for port in ports:
        name = f"port-{port.get('containerPort')}"
        if not port.get("name") and name not in taken:
            port["name"] = name
            taken.add(name)


def _actions(container: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    hooks = [container.get(f"{name}Probe") for name in ("startup", "readiness", "liveness")]
    hooks += (container.get("lifecycle") or {}).values()
    for hook in hooks:
        for action in ("httpGet", "tcpSocket"):
            if (hook or {}).get(action):
                yield hook[action]  # type: ignore[index]


def _translate_ingress_ports(result: Translation, services: Iterable[Mapping[str, Any]]) -> None:
    """Lets the backends of the Ingress name the port of the Service."""
    names = {
        (service["metadata"].get("name"), port.get("port")): port.get("name")
        for service in services
        for port in service["spec"].get("ports") or ()
    }
    ingress = result.find("Ingress")
    for service in list_backends(ingress or {}):
        key = service.get("name"), (service.get("port") or {}).get("number")
        if key in names:
            service["port"] = {"name": names[key]}


def _translate_init_names(result: Translation) -> None:
    """Numbers the init containers if their order is not that of their names.

    The framework runs sidecars first, then init containers sorted by name.
    """
    containers = result.pod.get("initContainers") or []
    steps = [c for c in containers if c.get("restartPolicy") != "Always"]
    names = [str(c.get("name")) for c in steps]
    # For example, `migrate` runs before `fetch`. As `step-1-migrate` and `step-2-fetch`, the order
    # by name is the order of the manifest.
    if names != sorted(names):
        for number, container in enumerate(steps, 1):
            name = f"step-{number}-{container['name']}"[:63].rstrip("-")
            result.rename_container("init container", container, name)


def _translate_container_references(result: Translation) -> None:
    """Lets annotations, variables and volumes of the Pods use the new names of containers."""
    metadata = result.deployment["spec"]["template"].get("metadata") or {}
    if annotations := metadata.get("annotations"):
        metadata["annotations"] = rename_containers(annotations, result.container_names)
    for key in ("containers", "initContainers", "volumes"):
        _rename_in_fields(result.pod.get(key), result)


def _rename_in_fields(value: Any, result: Translation) -> None:
    if isinstance(value, list):
        for item in value:
            _rename_in_fields(item, result)
    elif isinstance(value, dict):
        _rename_container(value.get("resourceFieldRef") or {}, "containerName", result)
        for item in value.values():
            _rename_in_fields(item, result)


def _take_claims(result: Translation) -> None:
    """Lets the model create the claims that do not exist yet."""
    claims = {source.name: source for source in result.workload.find_all("PersistentVolumeClaim")}
    used: dict[str, list[dict[str, Any]]] = {}
    for volume in result.pod.get("volumes") or ():
        if claim := volume.get("persistentVolumeClaim"):
            used.setdefault(claim.get("claimName"), []).append(volume)
    for name, source in claims.items():
        volumes = used.get(name, [])
        if source.is_live:
            # A new claim would be empty. The data is in the old one.
            result.unexpressed[source] = (
                "exists in the cluster; the model refers to it by name, in its own Namespace"
            )
        elif len(volumes) != 1:
            result.unexpressed[source] = "several volumes use it; the model refers to it by name"
        else:
            volume = volumes[0]
            obj = deepcopy(source.object)
            _name_object(result, obj, claim_name(result.model, volume["name"]))
            volume["persistentVolumeClaim"]["claimName"] = obj["metadata"]["name"]
            result.objects.append(obj)
            result.claims[volume["name"]] = obj["spec"]


def _take_extra(result: Translation) -> None:
    """Puts the objects that no setting describes unchanged into the setting `objects`."""
    sources = [*result.workload.others, *result.unexpressed]
    for source in dict.fromkeys(sources):
        if source.kind == "PersistentVolumeClaim" and source.is_live:
            continue
        result.kept[source] = result.unexpressed.pop(source, "") or NO_SETTING
        obj = deepcopy(source.object)
        obj["metadata"].pop("namespace", None)
        if source.kind == SCALED_OBJECT:
            _translate_scaled_object(obj, result)
        elif source.kind == "RoleBinding":
            _translate_subjects(obj, source, result)
        words = f"{source.name.removeprefix(f'{result.model}-')}-{source.kind.lower()}"
        key = re.sub("[^a-z0-9-]+", "-", words.lower()).strip("-")[-63:].strip("-")
        key = unused_name(key, result.extra)
        result.extra[key] = obj
        result.objects.append(obj)


def _share_labels(result: Translation) -> None:
    """Removes the labels that the framework sets itself, and records each of them."""
    for obj in result.objects:
        template = obj.get("spec", {}).get("template") or {}
        for metadata in (obj["metadata"], template.get("metadata")):
            labels = (metadata or {}).get("labels") or {}
            for key in sorted(RESERVED_LABELS & labels.keys()):
                del labels[key]
                result.note(f"label {key} removed: the framework sets it")
    template = result.deployment["spec"]["template"].setdefault("metadata", {})
    template["labels"] = {
        **(template.get("labels") or {}),
        **result.deployment["spec"]["selector"]["matchLabels"],
    }
