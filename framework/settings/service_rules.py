"""Lists the ports of a model's Services, and checks the Services and the Ingress."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

from framework.core.diagnostics import SettingDiagnostic

if TYPE_CHECKING:
    from framework.settings.container import Port
    from framework.settings.model import Model
    from framework.settings.networking import Service, ServicePort

_Path = tuple[str, ...]
# Settings of a container's port that only a Service reads.
_OF_SERVICE = {
    "service_port": "servicePort",
    "node_port": "nodePort",
    "app_protocol": "appProtocol",
}


class ExposedPort(NamedTuple):
    """One port of a Service; `setting` is where it is written."""

    name: str
    number: int
    target: str | int
    protocol: str
    app_protocol: str | None
    node_port: int | None
    setting: _Path


def list_services(model: Model) -> dict[str, Service]:
    """Returns the Services of a model that are enabled, by their key in `services`.

    The key of `service` is "".
    """
    services = {"": model.service, **{key: model.services[key] for key in sorted(model.services)}}
    return {key: service for key, service in services.items() if service.enabled}


def list_ports(model: Model, key: str) -> list[ExposedPort]:
    """Returns the ports of one Service, without those whose target does not exist."""
    service = model.services[key] if key else model.service
    container_ports = list_container_ports(model)
    if service.ports is None:
        return [
            _expose(path[-1], port, path, main=not key)
            for path, port in container_ports.items()
            if _is_default(path, port)
        ]
    resolved = []
    for name, entry in service.ports.items():
        target = entry.target_port or name
        path = (*_setting_of(key), "ports", name)
        if isinstance(target, int):
            number, protocol = entry.port or target, entry.protocol or "TCP"
            resolved.append(
                ExposedPort(
                    name, number, target, protocol, entry.app_protocol, entry.node_port, path
                )
            )
            continue
        for port in (port for at, port in container_ports.items() if at[-1] == target):
            resolved.append(_override(_expose(target, port, path, main=not key), name, entry))
            break
    return resolved


def list_container_ports(model: Model) -> dict[_Path, Port]:
    """Returns the ports of the containers that serve requests, by setting; the model's first."""
    ports: dict[_Path, Port] = {("ports", name): port for name, port in model.ports.items()}
    for sidecar, settings in sorted(model.sidecars.items()):
        for name, port in settings.ports.items():
            ports["sidecars", sidecar, "ports", name] = port
    return ports


def _is_default(path: _Path, port: Port) -> bool:
    """Returns True for a port that belongs to every Service without a list of ports."""
    return path[0] == "ports" or port.service_port is not None


def _setting_of(key: str) -> _Path:
    return ("services", key) if key else ("service",)


def _expose(name: str, port: Port, path: _Path, *, main: bool) -> ExposedPort:
    # Only one Service can use a node port, so further Services do not inherit it.
    node_port = port.node_port if main else None
    number = port.service_port or port.container_port
    return ExposedPort(name, number, name, port.protocol, port.app_protocol, node_port, path)


def _override(port: ExposedPort, name: str, entry: ServicePort) -> ExposedPort:
    return port._replace(
        name=name,
        number=entry.port or port.number,
        app_protocol=entry.app_protocol or port.app_protocol,
        node_port=entry.node_port or port.node_port,
    )


def find_service_diagnostics(model: Model) -> Iterator[SettingDiagnostic]:
    """Yields the errors in the Services of a model and in its Ingress."""
    for key, service in list_services(model).items():
        yield from _find_in_service(model, key, service)
    yield from _find_shared_names(model)
    yield from _find_unused(model)
    yield from _find_in_ingress(model)


def _find_in_service(model: Model, key: str, service: Service) -> Iterator[SettingDiagnostic]:
    setting = _setting_of(key)
    yield from _find_unknown_targets(model, setting, service.ports or {})
    ports = list_ports(model, key)
    if not ports and service.ports == {}:
        yield SettingDiagnostic((*setting, "ports"), "is empty; give a port, or remove it")
    elif not ports and service.ports is None:
        path = setting if key else ()
        switch = f"{'.'.join(setting)}.enabled: false"
        message = f"has a Service but no ports; give a port, or set {switch}"
        yield SettingDiagnostic(path, message)
    yield from _find_duplicates(model, ports)
    for port in ports:
        if port.node_port and service.type == "ClusterIP":
            yield SettingDiagnostic(
                (*port.setting, "nodePort"), "is allowed with NodePort and LoadBalancer only"
            )


def _find_unknown_targets(
    model: Model, setting: _Path, ports: Mapping[str, ServicePort]
) -> Iterator[SettingDiagnostic]:
    """Reports target ports that no container has, or that two containers have.

    With two, Kubernetes would take that of the first container (FindPort in k8s.io/endpointslice).
    """
    paths: dict[str, list[_Path]] = {}
    for at in list_container_ports(model):
        paths.setdefault(at[-1], []).append(at)
    known = ", ".join(sorted(paths)) or "none"
    for name, port in ports.items():
        path: _Path = (*setting, "ports", name)
        target = port.target_port or name
        if isinstance(target, int):
            continue
        if target not in paths:
            subject = f'is "{target}"' if port.target_port else "names no port of a container"
            path = (*path, "targetPort") if port.target_port else path
            remedy = "" if port.target_port else "; else set targetPort"
            message = f"{subject}; expected one of the ports: {known}, or a number{remedy}"
            yield SettingDiagnostic(path, message)
        elif len(paths[target]) > 1:
            first, second = (".".join(at) for at in paths[target][:2])
            message = f"has two targets, {first} and {second}; rename one of the two"
            yield SettingDiagnostic(path, message, others=tuple(paths[target][:2]))
        elif port.protocol:
            message = f'is decided by the port "{target}" of the container; remove it'
            yield SettingDiagnostic((*path, "protocol"), message)


def _find_duplicates(model: Model, ports: list[ExposedPort]) -> Iterator[SettingDiagnostic]:
    seen: dict[tuple[int, str], ExposedPort] = {}
    names: dict[str, ExposedPort] = {}
    containers = list_container_ports(model)
    for port in ports:
        same_name = names.setdefault(port.name, port)
        if same_name is not port:
            message = f"has the name of {'.'.join(same_name.setting)}, and a Service has both; "
            yield SettingDiagnostic(
                port.setting, f"{message}expected another name", others=(same_name.setting,)
            )
        first = seen.setdefault((port.number, port.protocol), port)
        if first is port:
            continue
        mine, other = containers.get(port.setting), containers.get(first.setting)
        if mine and other and mine.container_port == other.container_port:
            continue  # Reported as a port of the container already.
        key = "servicePort" if mine else "port"
        yield SettingDiagnostic(
            (*port.setting, key),
            f'is {port.number}, like that of "{first.name}"; expected another number',
            others=(first.setting,),
        )


def _find_shared_names(model: Model) -> Iterator[SettingDiagnostic]:
    """Reports two Services with the same `name`. Default names are checked with the manifests."""
    names: dict[str, _Path] = {}
    for key, service in list_services(model).items():
        path = (*_setting_of(key), "name")
        if service.name and (first := names.setdefault(service.name, path)) != path:
            message = f'is "{service.name}", like {".".join(first)}; expected another name'
            yield SettingDiagnostic(path, message, others=(first,))


def _find_unused(model: Model) -> Iterator[SettingDiagnostic]:
    """Reports settings of ports that only a Service reads, where no Service has the port."""
    services = list_services(model)
    used: set[_Path] = set()
    for key, service in services.items():
        targets = {port.target for port in list_ports(model, key)}
        used |= {
            path
            for path, port in list_container_ports(model).items()
            if (path[-1] in targets if service.ports is not None else _is_default(path, port))
        }
    by_default = any(service.ports is None for service in services.values())
    for path, port in list_container_ports(model).items():
        if services and path not in used:
            message = "has no effect: no Service lists the port under ports; remove it"
            if by_default:
                message = "has no effect without servicePort, which puts the port into the Service"
            yield from _refuse_service_settings(path, port, message)
    message = "has no effect: an init container ends before the Pod serves requests; remove it"
    for name, container in sorted(model.init_containers.items()):
        for port_name, port in container.ports.items():
            path = ("initContainers", name, "ports", port_name)
            yield from _refuse_service_settings(path, port, message)


def _refuse_service_settings(path: _Path, port: Port, message: str) -> Iterator[SettingDiagnostic]:
    for attribute, key in _OF_SERVICE.items():
        if getattr(port, attribute):
            yield SettingDiagnostic((*path, key), message)


def _find_in_ingress(model: Model) -> Iterator[SettingDiagnostic]:
    ingress = model.ingress
    if ingress is None:
        return
    key = ingress.service or ""
    if key and key not in model.services:
        known = ", ".join(sorted(model.services)) or "none"
        message = f'is "{key}"; expected one of services: {known}'
        yield SettingDiagnostic(("ingress", "service"), message)
        return
    if key not in list_services(model):
        path: _Path = ("ingress", "service") if key else ("ingress",)
        setting = ".".join(_setting_of(key))
        yield SettingDiagnostic(path, f"needs the Service, but {setting}.enabled is false")
    names = [port.name for port in list_ports(model, key)]
    if ingress.port not in names:
        known = ", ".join(sorted(names)) or "none"
        message = f'is "{ingress.port}"; expected one of the ports: {known}'
        yield SettingDiagnostic(("ingress", "port"), message)
