"""Finds dangling references in the patched objects of a model.

A patch may remove a volume or a port from one object while the same or another object still refers
to it by name. Each object is valid by itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from framework.catalog import CatalogModel
from framework.core.diagnostics import Diagnostic, SettingDiagnostic
from framework.core.field_paths import FieldPath, ItemKey
from framework.plan.manifest import ModelPlan
from framework.plan.patch.entries import list_patches
from framework.plan.patch.merge import find_touched, get_key

_POD = FieldPath(("spec", "template", "spec"))
_HOOKS = (
    FieldPath(("startupProbe",)),
    FieldPath(("livenessProbe",)),
    FieldPath(("readinessProbe",)),
    FieldPath(("lifecycle", "postStart")),
    FieldPath(("lifecycle", "preStop")),
)


# A name that refers to nothing: the message, and the fields, each a kind and a path. A patch of one
# of them has caused it. The most likely one is the first.
_DanglingReference = tuple[str, tuple[tuple[str, FieldPath], ...]]


def find_dangling_references(plan: ModelPlan, model: CatalogModel) -> Iterator[Diagnostic]:
    """Yields a diagnostic for each dangling reference, at the first patch that may have caused it.

    References that dangle without any patch are not reported here: the settings are checked before.
    """
    services = [manifest for manifest in plan.manifests if manifest.kind == "Service"]
    # The patch of a Service may name a port that no container has, or remove one from the Ingress.
    service_patches = [
        patch for service in services for patch in list_patches(service, plan, model)
    ]
    ingress = plan.find("Ingress")
    for manifest in plan.manifests:
        references: list[_DanglingReference] = []
        if manifest is ingress:
            references += _find_dangling_backends(manifest.object, [s.object for s in services])
        elif manifest.kind == "Deployment":
            containers = []
            pod = manifest.object["spec"]["template"]["spec"]
            for kind in ("initContainers", "containers"):
                for container in pod.get(kind, ()):
                    containers.append(container)
                    path = _POD.child(kind).child(ItemKey(container["name"]))
                    references += _find_dangling_hooks(container, path)
            for service in services:
                references += _find_dangling_targets(service.object, containers)
        patches = [*list_patches(manifest, plan, model), *service_patches]
        for message, fields in references:
            causes = (
                (patch, touched)
                for kind, path in fields
                for patch in patches
                if patch.kind == kind and (touched := find_touched(patch.content, path)) is not None
            )
            if cause := next(causes, None):
                patch, touched = cause
                yield from patch.diagnostics(SettingDiagnostic(touched, f": {message}"))


def _find_dangling_hooks(
    container: Mapping[str, Any], path: FieldPath
) -> Iterator[_DanglingReference]:
    """Yields the named ports of probes and lifecycle hooks that the container does not have."""
    for hook in _HOOKS:
        for handler in ("httpGet", "tcpSocket"):
            steps = (*hook.steps, handler, "port")
            port: Any = container
            for step in steps:
                port = get_key(port, str(step))
            if _is_missing(port, _port_names(container)):
                yield (
                    f'{container["name"]}\'s {hook.steps[-1]} uses port "{port}", which the '
                    "container does not have",
                    (
                        ("Deployment", FieldPath((*path.steps, *steps))),
                        ("Deployment", path.child("ports")),
                    ),
                )


def _find_dangling_backends(
    ingress: Mapping[str, Any], services: list[Mapping[str, Any]]
) -> Iterator[_DanglingReference]:
    """Yields the ports that an Ingress names and the model's Service of that name does not have."""
    ports_of = {
        service["metadata"]["name"]: service["spec"].get("ports") or () for service in services
    }
    for path, backend in _list_backends(ingress["spec"]):
        target = get_key(backend, "service")
        port = get_key(target, "port")
        wanted = get_key(port, "number") or get_key(port, "name")
        # None for a Service that the model does not have; its ports are not known here.
        ports = ports_of.get(get_key(target, "name"))
        if ports is None or wanted is None:
            continue
        if wanted not in {port.get("name") for port in ports} | {port["port"] for port in ports}:
            names = ", ".join(sorted(str(port.get("name", port["port"])) for port in ports))
            yield (
                f'the Ingress sends requests to port "{wanted}", which the Service does not have; '
                f"expected one of the ports: {names}",
                (("Ingress", path), ("Service", FieldPath(("spec", "ports")))),
            )


def _list_backends(spec: Mapping[str, Any]) -> Iterator[tuple[FieldPath, Any]]:
    yield FieldPath(("spec", "defaultBackend")), spec.get("defaultBackend")
    for rule in spec.get("rules") or ():
        for route in get_key(get_key(rule, "http"), "paths") or ():
            yield FieldPath(("spec", "rules")), get_key(route, "backend")


def _find_dangling_targets(
    service: Mapping[str, Any], containers: list[Mapping[str, Any]]
) -> Iterator[_DanglingReference]:
    path = FieldPath(("spec", "ports"))
    ports = service["spec"].get("ports")
    if not ports:
        yield ("no port is left; a Service needs one", (("Service", path),))
    names = {name for container in containers for name in _port_names(container)}
    lists = [
        _POD.child("containers").child(ItemKey(container["name"])).child("ports")
        for container in containers
    ]
    for port in ports or ():
        target = port.get("targetPort")
        if _is_missing(target, names):
            yield (
                f'the Service targets port "{target}", which no container has',
                (
                    ("Service", path.child(port["port"]).child("targetPort")),
                    *(("Deployment", field) for field in (*lists, _POD.child("containers"))),
                ),
            )


def _is_missing(port: Any, names: set[str]) -> bool:
    """Returns True for the name of a port that is not among `names`; numbers need no name."""
    return isinstance(port, str) and not port.isdigit() and port not in names


def _port_names(container: Mapping[str, Any]) -> set[str]:
    return {port["name"] for port in container.get("ports", ()) if "name" in port}
