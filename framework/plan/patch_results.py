"""What a patched model has lost: names that are asked and that nothing has any more.

Kept apart from the checks of a patch, which see one: a port may be asked by the Service and taken
from the Pod, and each object be sound by itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from framework.kinds.kind import Step
from framework.plan.strategic import get_key

_POD: tuple[Step, ...] = ("spec", "template", "spec")
_ASKING = (
    ("startupProbe",), ("livenessProbe",), ("readinessProbe",),
    ("lifecycle", "postStart"), ("lifecycle", "preStop"),
)  # fmt: skip


class Loss(NamedTuple):
    """What is lost, and where a patch may have said so: kinds and paths, the likeliest first."""

    message: str
    positions: tuple[tuple[str, tuple[Step, ...]], ...]


def find_losses(deployment: Mapping[str, Any], service: Mapping[str, Any] | None) -> Iterator[Loss]:
    """What a patched Deployment, and the Service before it, ask and have not."""
    pod = deployment["spec"]["template"]["spec"]
    containers = [
        (kind, container)
        for kind in ("initContainers", "containers")
        for container in pod.get(kind, ())
    ]
    volumes = {volume["name"] for volume in pod.get("volumes", ())}
    for kind, container in containers:
        here = (*_POD, kind, ("name", container["name"]))
        yield from _find_lost_volumes(container, volumes, here)
        yield from _find_lost_handlers(container, here)
    if service is not None:
        yield from _find_lost_targets(service, [container for _, container in containers])


def _find_lost_volumes(
    container: Mapping[str, Any], volumes: set[str], here: tuple[Step, ...]
) -> Iterator[Loss]:
    for mount in container.get("volumeMounts", ()):
        if mount["name"] not in volumes:
            at = (*here, "volumeMounts", ("mountPath", mount["mountPath"]), "name")
            message = f'{container["name"]} mounts volume "{mount["name"]}", which the Pod has not'
            yield Loss(message, (("Deployment", at), ("Deployment", (*_POD, "volumes"))))


def _find_lost_handlers(container: Mapping[str, Any], here: tuple[Step, ...]) -> Iterator[Loss]:
    for path in _ASKING:
        for handler in ("httpGet", "tcpSocket"):
            asked: Any = container
            for step in (*path, handler, "port"):
                asked = get_key(asked, step)
            if isinstance(asked, str) and not asked.isdigit() and asked not in _ports(container):
                asks = f"{container['name']}'s {path[-1]} asks port"
                message = f'{asks} "{asked}", which the container has not'
                at = (*here, *path, handler, "port")
                yield Loss(message, (("Deployment", at), ("Deployment", (*here, "ports"))))


def _find_lost_targets(
    service: Mapping[str, Any], containers: list[Mapping[str, Any]]
) -> Iterator[Loss]:
    ports = service["spec"].get("ports")
    named = {name for container in containers for name in _ports(container)}
    lists: list[tuple[Step, ...]] = [
        (*_POD, "containers", ("name", container["name"]), "ports") for container in containers
    ]
    takers = [("Deployment", path) for path in (*lists, (*_POD, "containers"))]
    if not ports:
        yield Loss("no port is left, and a Service needs one", (("Service", ("spec", "ports")),))
    for port in ports or ():
        asked = port.get("targetPort")
        if isinstance(asked, str) and not asked.isdigit() and asked not in named:
            at: tuple[Step, ...] = ("spec", "ports", ("port", port["port"]), "targetPort")
            message = f'the Service asks port "{asked}", which no container has'
            yield Loss(message, (("Service", at), *takers))


def _ports(container: Mapping[str, Any]) -> set[str]:
    return {port["name"] for port in container.get("ports", ()) if "name" in port}
