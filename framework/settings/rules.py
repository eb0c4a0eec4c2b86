"""What contradicts across the settings of one model, each at the setting at fault.

Kept apart from the classes, which declare: here is what Kubernetes would refuse, or never do, of
settings that are each sound.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from framework.core.diagnostics import Code, SettingDiagnostic
from framework.settings.container import (
    find_asked_port_diagnostics,
    find_path_diagnostics,
    find_port_diagnostics,
)
from framework.settings.reserved import CONFIG_VOLUME, MODEL_CONTAINER

if TYPE_CHECKING:
    from framework.settings.model import Model


def find_model_diagnostics(model: Model) -> Iterator[SettingDiagnostic]:
    """Every contradiction in one model."""
    yield from _find_stop_diagnostics(model)
    yield from find_port_diagnostics(model.ports)
    yield from find_asked_port_diagnostics(model.probes, model.lifecycle, model.ports)
    yield from _find_shared_ports(model)
    yield from _find_service_diagnostics(model)
    yield from _find_policy_diagnostics(model)
    yield from _find_reserved_names(model)
    yield from _find_mount_diagnostics(model)
    yield from _find_security_diagnostics(model)
    yield from _find_scaling_diagnostics(model)


def _find_stop_diagnostics(model: Model) -> Iterator[SettingDiagnostic]:
    hook, grace = model.lifecycle.pre_stop, model.termination_grace_period_seconds
    if hook is None:
        name, asleep = "preStopSeconds", model.pre_stop_seconds
    else:
        name, asleep = "lifecycle.preStop.sleepSeconds", hook.sleep_seconds or 0
    if asleep >= grace:
        yield SettingDiagnostic(
            ("terminationGracePeriodSeconds",),
            f"is {grace}; expected more than {name}, which is {asleep}",
            others=(tuple(name.split(".")),),
        )


def _find_shared_ports(model: Model) -> Iterator[SettingDiagnostic]:
    """All containers of a Pod share one network."""
    taken: dict[tuple[int, str], tuple[str, tuple[str, ...]]] = {
        (port.container_port, port.protocol): ("the model", ("ports", name))
        for name, port in model.ports.items()
    }
    for name, sidecar in sorted(model.sidecars.items()):
        for port_name, port in sidecar.ports.items():
            path = ("sidecars", name, "ports", port_name)
            key = (port.container_port, port.protocol)
            owner, other = taken.setdefault(key, (name, path))
            if owner != name:
                message = f"is {port.protocol} {port.container_port}, which {owner} listens on; "
                yield SettingDiagnostic(path, f"{message}expected another number", others=(other,))


def _find_service_diagnostics(model: Model) -> Iterator[SettingDiagnostic]:
    if model.service.enabled and not model.ports:
        yield SettingDiagnostic(
            (), "has a Service and no ports; name a port, or set service.enabled: false"
        )
    if model.ingress and model.ingress.port not in model.ports:
        yield SettingDiagnostic(
            ("ingress", "port"),
            f'is "{model.ingress.port}"; expected one of the ports: '
            f"{', '.join(sorted(model.ports)) or 'none'}",
        )
    if model.ingress and not model.service.enabled:
        yield SettingDiagnostic(("ingress",), "leads to the Service, and service.enabled is false")
    seen: dict[tuple[int, str], str] = {}
    for name, port in model.ports.items():
        number = port.service_port or port.container_port
        first = seen.setdefault((number, port.protocol), name)
        same = port.container_port == model.ports[first].container_port
        if first != name and not same:
            yield SettingDiagnostic(
                ("ports", name, "servicePort"),
                f'is {number}, as that of "{first}" is; expected another number',
                others=(("ports", first),),
            )
        if port.node_port and model.service.type == "ClusterIP":
            yield SettingDiagnostic(
                ("ports", name, "nodePort"), "goes with NodePort and LoadBalancer alone"
            )


def _find_policy_diagnostics(model: Model) -> Iterator[SettingDiagnostic]:
    peers = (model.network_policy.allow_from or {}) if model.network_policy else {}
    for name, peer in peers.items():
        for index, port in enumerate(peer.ports):
            if isinstance(port, str) and port not in model.ports:
                yield SettingDiagnostic(
                    ("networkPolicy", "allowFrom", name, "ports", index),
                    f'is "{port}"; expected one of the ports: '
                    f"{', '.join(sorted(model.ports)) or 'none'}",
                )


def _find_reserved_names(model: Model) -> Iterator[SettingDiagnostic]:
    for kind, containers in (
        ("initContainers", model.init_containers),
        ("sidecars", model.sidecars),
    ):
        if MODEL_CONTAINER in containers:
            yield SettingDiagnostic(
                (kind, MODEL_CONTAINER), "has the name of the model's own container"
            )
    for name in sorted(model.init_containers.keys() & model.sidecars.keys()):
        yield SettingDiagnostic(
            ("sidecars", name), "has the name of an init container; expected another name"
        )
    if CONFIG_VOLUME in model.volumes:
        yield SettingDiagnostic(
            ("volumes", CONFIG_VOLUME), "has the name of the volume of config.files"
        )


def _find_mount_diagnostics(model: Model) -> Iterator[SettingDiagnostic]:
    paths: dict[tuple[str, ...], str] = {
        ("volumes", name, "mountPath"): volume.mount_path
        for name, volume in model.volumes.items()
        if volume.mount_path
    }
    if model.config:
        paths["config", "mountPath"] = model.config.mount_path
    yield from find_path_diagnostics(paths)
    containers = [
        ((kind, name), container)
        for kind, group in (("initContainers", model.init_containers), ("sidecars", model.sidecars))
        for name, container in group.items()
    ]
    known = ", ".join(sorted(model.volumes)) or "none"
    for setting, container in containers:
        for volume in container.mounts:
            if volume not in model.volumes:
                message = f"names no volume of the model; expected one of the volumes: {known}"
                yield SettingDiagnostic((*setting, "mounts", volume), message)
    mounted = {volume for _, container in containers for volume in container.mounts}
    for name, volume_settings in model.volumes.items():
        if volume_settings.mount_path is None and name not in mounted:
            message = f"is missing; volumes.{name} needs it"
            yield SettingDiagnostic(("volumes", name, "mountPath"), message, Code.MISSING_KEY)


def _find_security_diagnostics(model: Model) -> Iterator[SettingDiagnostic]:
    """Of a container's own security, what it makes of the model's."""
    for kind, group in (("initContainers", model.init_containers), ("sidecars", model.sidecars)):
        for name, container in group.items():
            for diagnostic in container.security.over(model.security).find_diagnostics():
                yield SettingDiagnostic(
                    (kind, name, "security", *diagnostic.path), diagnostic.message
                )


def _find_scaling_diagnostics(model: Model) -> Iterator[SettingDiagnostic]:
    """An autoscaler that could never compute its percentage."""
    if model.autoscaling is None:
        return
    resources = model.resources
    for name in ("cpu", "memory"):
        target = getattr(model.autoscaling, name)
        if target and name not in resources.requests and name not in resources.limits:
            yield SettingDiagnostic(
                ("autoscaling", name),
                f"is a percentage of the request; expected resources.requests.{name} with it",
            )
