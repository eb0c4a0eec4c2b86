"""Rules that span the containers of a Pod: names, ports, mounts and claims that they share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from framework.core.diagnostics import Code, SettingDiagnostic
from framework.settings.container import Container, ContainerSettings, ServingContainer
from framework.settings.reserved import CONFIG_VOLUME, MODEL_CONTAINER, config_volume

if TYPE_CHECKING:
    from framework.settings.model import Model

_Path = tuple[str, ...]
# The longest name of a volume, as of every DNS label.
_LONGEST_LABEL = 63


def find_pod_diagnostics(model: Model) -> Iterator[SettingDiagnostic]:
    """Yields what is wrong with the containers of a model taken together."""
    yield from _find_stop_diagnostics(model)
    yield from _find_reserved_names(model)
    yield from _find_shared_ports(model)
    yield from _find_mount_diagnostics(model)
    yield from _find_claim_diagnostics(model)
    yield from _find_security_diagnostics(model)
    yield from _find_scaling_diagnostics(model)


def _extra_containers(model: Model) -> Iterator[tuple[_Path, Container]]:
    """Yields the sidecars and init containers, each with the path of its settings."""
    for name, sidecar in sorted(model.sidecars.items()):
        yield ("sidecars", name), sidecar
    for name, container in sorted(model.init_containers.items()):
        yield ("initContainers", name), container


def _all_containers(model: Model) -> Iterator[tuple[_Path, ContainerSettings]]:
    yield (), model
    yield from _extra_containers(model)


def _find_stop_diagnostics(model: Model) -> Iterator[SettingDiagnostic]:
    """Reports a wait before the stop signal that is as long as the whole time to stop.

    The container would be killed before it has seen the signal.
    """
    grace = model.termination_grace_period_seconds
    for setting, container in _all_containers(model):
        if not isinstance(container, ServingContainer):
            continue
        hook: _Path = (*setting, "lifecycle", "preStop", "sleepSeconds")
        if container.lifecycle.pre_stop is not None:
            path, wait = hook, container.lifecycle.pre_stop.sleep_seconds or 0
        elif setting:
            continue
        else:
            path, wait = ("preStopSeconds",), model.pre_stop_seconds
        if wait >= grace:
            yield SettingDiagnostic(
                ("terminationGracePeriodSeconds",),
                f"is {grace}; expected more than {'.'.join(path)}, which is {wait}",
                others=(path,),
            )


def _find_reserved_names(model: Model) -> Iterator[SettingDiagnostic]:
    for setting, container in _extra_containers(model):
        kind, name = setting
        if name == MODEL_CONTAINER:
            yield SettingDiagnostic(
                setting, "has the name of the model's own container; expected another name"
            )
        elif kind == "sidecars" and name in model.init_containers:
            yield SettingDiagnostic(
                setting, "has the name of an init container; expected another name"
            )
        if container.config and len(config_volume(name)) > _LONGEST_LABEL:
            longest = _LONGEST_LABEL - len(config_volume(""))
            message = f"needs a container with a name of at most {longest} characters"
            yield SettingDiagnostic((*setting, "config"), message)
    reserved = {CONFIG_VOLUME: "config.files"} | {
        config_volume(setting[-1]): f"{'.'.join(setting)}.config.files"
        for setting, container in _extra_containers(model)
        if container.config
    }
    for volume in sorted(reserved.keys() & model.volumes.keys()):
        message = f"has the name of the volume of {reserved[volume]}; expected another name"
        yield SettingDiagnostic(("volumes", volume), message)


def _find_shared_ports(model: Model) -> Iterator[SettingDiagnostic]:
    """Reports ports of sidecars that another container listens on: a Pod has one network."""
    taken: dict[tuple[int, str], tuple[str, _Path]] = {
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


def _find_mount_diagnostics(model: Model) -> Iterator[SettingDiagnostic]:
    """Reports mounts of volumes that do not exist, and volumes that nothing mounts."""
    # The path of each config, by the name of its volume.
    configs: dict[str, _Path] = {
        config_volume(setting[-1] if setting else MODEL_CONTAINER): (*setting, "config")
        for setting, container in _all_containers(model)
        if container.config
    }
    volumes = {*model.volumes, *configs}
    known = ", ".join(sorted(volumes)) or "none"
    mounted = set()
    for setting, container in _all_containers(model):
        for name, mount in container.mounts.items():
            volume = mount.volume or name
            mounted.add(volume)
            if volume in volumes:
                continue
            path: _Path = (*setting, "mounts", name)
            if mount.volume:
                path, subject = (*path, "volume"), f'is "{volume}", which '
            else:
                subject = ""
            message = f"{subject}is not a volume of the model; expected one of the volumes: {known}"
            yield SettingDiagnostic(path, message)
    for name, settings in model.volumes.items():
        if settings.mount_path is None and name not in mounted and not settings.injected:
            message = f"is missing; volumes.{name} needs it, or another mount, or injected: true"
            yield SettingDiagnostic(("volumes", name, "mountPath"), message, Code.MISSING_KEY)

    for setting, container in _all_containers(model):
        config = container.config
        volume = config_volume(setting[-1] if setting else MODEL_CONTAINER)
        if config and config.mount_path is None and volume not in mounted:
            path = (*setting, "config")
            message = f"is missing; {'.'.join(path)} needs it, or a mount of {volume}"
            yield SettingDiagnostic((*path, "mountPath"), message, Code.MISSING_KEY)


def _find_claim_diagnostics(model: Model) -> Iterator[SettingDiagnostic]:
    """Reports resource claims of containers that the Pod does not have."""
    known = ", ".join(sorted(model.pod.resource_claims)) or "none"
    for setting, container in _all_containers(model):
        for name in container.resources.claims:
            if name not in model.pod.resource_claims:
                message = f"is not in pod.resourceClaims; expected one of: {known}"
                yield SettingDiagnostic((*setting, "resources", "claims", name), message)


def _find_security_diagnostics(model: Model) -> Iterator[SettingDiagnostic]:
    """Reports a container's `security` that contradicts the model's, and Bidirectional mounts.

    Only a privileged container may have such a mount.
    """
    for setting, container in _all_containers(model):
        security = model.security
        if isinstance(container, Container):
            security = container.security.over(model.security)
            for diagnostic in security.find_diagnostics():
                path = (*setting, "security", *diagnostic.path)
                yield SettingDiagnostic(path, diagnostic.message)
        for name, mount in container.mounts.items():
            if mount.mount_propagation == "Bidirectional" and not security.privileged:
                yield SettingDiagnostic(
                    (*setting, "mounts", name, "mountPropagation"),
                    "is Bidirectional, which needs security.privileged: true",
                )


def _find_scaling_diagnostics(model: Model) -> Iterator[SettingDiagnostic]:
    """Reports an autoscaler that cannot compute its percentage, because a request is missing.

    The autoscaler adds up the requests of the Pod. One container without a request is enough for it
    to fail (calculatePodRequestsFromContainers in pkg/controller/podautoscaler).
    """
    if model.autoscaling is None:
        return
    for name in ("cpu", "memory"):
        if not getattr(model.autoscaling, name):
            continue
        for setting, container in _all_containers(model):
            resources = container.resources
            if not isinstance(container, ServingContainer) or (
                name in resources.requests or name in resources.limits
            ):
                continue
            path = ".".join((*setting, "resources.requests", name))
            yield SettingDiagnostic(
                ("autoscaling", name),
                f"is a percentage of the request; set {path} as well",
            )
