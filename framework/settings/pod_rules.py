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
# The containers of a Pod by the path of their settings, () for the model's own.
_Containers = dict[_Path, ContainerSettings]
# The longest name of a volume, as of every DNS label.
_LONGEST_LABEL = 63


def find_pod_diagnostics(model: Model) -> Iterator[SettingDiagnostic]:
    """Yields what is wrong with the containers of a model taken together."""
    containers: _Containers = {
        (): model,
        **{("sidecars", name): model.sidecars[name] for name in sorted(model.sidecars)},
        **{
            ("initContainers", name): model.init_containers[name]
            for name in sorted(model.init_containers)
        },
    }
    yield from _find_clashes(model, containers)
    yield from _find_mount_diagnostics(model, containers)
    for setting, container in containers.items():
        yield from _find_in_container(model, setting, container)


def _find_clashes(model: Model, containers: _Containers) -> Iterator[SettingDiagnostic]:
    """Reports names and ports that two containers have, and reserved names of volumes."""
    volumes = {CONFIG_VOLUME: "config.files"}
    # A Pod has one network. Ports of init containers are free again when the model starts.
    taken: dict[tuple[int, str], tuple[str, _Path]] = {}
    for setting, container in containers.items():
        kind, name = setting or ("", "the model")
        if name == MODEL_CONTAINER:
            message = "has the name of the model's own container; expected another name"
            yield SettingDiagnostic(setting, message)
        elif kind == "sidecars" and name in model.init_containers:
            message = "has the name of an init container; expected another name"
            yield SettingDiagnostic(setting, message)
        if setting and container.config:
            volumes[config_volume(name)] = f"{'.'.join(setting)}.config.files"
            if len(config_volume(name)) > _LONGEST_LABEL:
                longest = _LONGEST_LABEL - len(config_volume(""))
                message = f"needs a container with a name of at most {longest} characters"
                yield SettingDiagnostic((*setting, "config"), message)
        for port_name, port in container.ports.items() if kind != "initContainers" else ():
            path = (*setting, "ports", port_name)
            owner, other = taken.setdefault((port.container_port, port.protocol), (name, path))
            if owner != name:
                message = f"is {port.protocol} {port.container_port}, which {owner} listens on; "
                yield SettingDiagnostic(path, f"{message}expected another number", others=(other,))
    for volume in sorted(volumes.keys() & model.volumes.keys()):
        message = f"has the name of the volume of {volumes[volume]}; expected another name"
        yield SettingDiagnostic(("volumes", volume), message)


def _find_mount_diagnostics(model: Model, containers: _Containers) -> Iterator[SettingDiagnostic]:
    """Reports mounts of volumes that do not exist, and volumes that nothing mounts."""
    # The volume with the config of each container, by the path of the container.
    configs = {
        setting: config_volume(setting[-1] if setting else MODEL_CONTAINER)
        for setting, container in containers.items()
        if container.config
    }
    volumes = {*model.volumes, *configs.values()}
    known = ", ".join(sorted(volumes)) or "none"
    mounted = set()
    for setting, container in containers.items():
        for name, mount in container.mounts.items():
            volume = mount.volume or name
            mounted.add(volume)
            if volume not in volumes:
                path: _Path = (*setting, "mounts", name, *(("volume",) if mount.volume else ()))
                subject = f'is "{volume}", which ' if mount.volume else ""
                message = f"{subject}is not a volume of the model; expected one of the volumes: "
                yield SettingDiagnostic(path, message + known)
    for name, settings in model.volumes.items():
        if settings.mount_path is None and name not in mounted and not settings.injected:
            message = f"is missing; volumes.{name} needs it, or another mount, or injected: true"
            yield SettingDiagnostic(("volumes", name, "mountPath"), message, Code.MISSING_KEY)
    for setting, volume in configs.items():
        config = containers[setting].config
        if config and config.mount_path is None and volume not in mounted:
            path = (*setting, "config")
            message = f"is missing; {'.'.join(path)} needs it, or a mount of {volume}"
            yield SettingDiagnostic((*path, "mountPath"), message, Code.MISSING_KEY)


def _find_in_container(
    model: Model, setting: _Path, container: ContainerSettings
) -> Iterator[SettingDiagnostic]:
    """Reports what contradicts settings of the Pod: claims, security, and the time to stop."""
    known = ", ".join(sorted(model.pod.resource_claims)) or "none"
    for name in container.resources.claims:
        if name not in model.pod.resource_claims:
            message = f"is not in pod.resourceClaims; expected one of: {known}"
            yield SettingDiagnostic((*setting, "resources", "claims", name), message)
    security = model.security
    if isinstance(container, Container):
        security = container.security.over(model.security)
        for diagnostic in security.find_diagnostics():
            path = (*setting, "security", *diagnostic.path)
            yield SettingDiagnostic(path, diagnostic.message)
    for name, mount in container.mounts.items():
        if mount.mount_propagation == "Bidirectional" and not security.privileged:
            message = "is Bidirectional, which needs security.privileged: true"
            yield SettingDiagnostic((*setting, "mounts", name, "mountPropagation"), message)
    if not isinstance(container, ServingContainer):
        return
    # If the wait is as long as the whole time to stop, the container is killed before it has seen
    # the stop signal.
    hook: _Path = (*setting, "lifecycle", "preStop", "sleepSeconds")
    wait, grace = 0, model.termination_grace_period_seconds
    if container.lifecycle.pre_stop is not None:
        wait = container.lifecycle.pre_stop.sleep_seconds or 0
    elif not setting:
        hook, wait = ("preStopSeconds",), model.pre_stop_seconds
    if wait >= grace:
        message = f"is {grace}; expected more than {'.'.join(hook)}, which is {wait}"
        yield SettingDiagnostic(("terminationGracePeriodSeconds",), message, others=(hook,))
    # An autoscaler adds up the requests of the Pod. One container without a request is enough for
    # it to fail (calculatePodRequestsFromContainers in pkg/controller/podautoscaler).
    requested = {*container.resources.requests, *container.resources.limits}
    for name in ("cpu", "memory"):
        if getattr(model.autoscaling, name, None) and name not in requested:
            missing = ".".join((*setting, "resources.requests", name))
            message = f"is a percentage of the request; set {missing} as well"
            yield SettingDiagnostic(("autoscaling", name), message)
