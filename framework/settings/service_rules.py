"""Lists the ports of a model's Services, and checks what is about them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from framework.core.diagnostics import SettingDiagnostic

if TYPE_CHECKING:
    from framework.settings.container import Port
    from framework.settings.model import Model
    from framework.settings.networking import Service

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
    if service.ports is None:
        return [
            _expose(path, path[-1], port, main=not key)
            for path, port in list_container_ports(model).items()
            if _is_default(path, port)
        ]
    named, exposed = name_container_ports(model), []
    for name, entry in service.ports.items():
        target, path = entry.target_port or name, (*_setting_of(key), "ports", name)
        if isinstance(target, int):
            protocol = entry.protocol or "TCP"
            port = ExposedPort(name, target, target, protocol, None, None, path)
        elif target in named:
            port = _expose(path, target, named[target], main=not key)
        else:
            continue
        exposed.append(
            port._replace(
                name=name,
                number=entry.port or port.number,
                app_protocol=entry.app_protocol or port.app_protocol,
                node_port=entry.node_port or port.node_port,
            )
        )
    return exposed


def list_container_ports(model: Model) -> dict[_Path, Port]:
    """Returns the ports of the containers that serve requests, by setting; the model's first."""
    ports: dict[_Path, Port] = {("ports", name): port for name, port in model.ports.items()}
    for sidecar, settings in sorted(model.sidecars.items()):
        for name, port in settings.ports.items():
            ports["sidecars", sidecar, "ports", name] = port
    return ports


def name_container_ports(model: Model) -> dict[str, Port]:
    """Returns these ports by name; one of the model comes before one of a sidecar."""
    return {path[-1]: port for path, port in reversed(list_container_ports(model).items())}


def _is_default(path: _Path, port: Port) -> bool:
    """Returns True for a port that belongs to every Service without a list of ports."""
    return path[0] == "ports" or port.service_port is not None


def _setting_of(key: str) -> _Path:
    return ("services", key) if key else ("service",)


def _expose(path: _Path, name: str, port: Port, *, main: bool) -> ExposedPort:
    # Only one Service can use a node port, so further Services do not inherit it.
    node_port = port.node_port if main else None
    number = port.service_port or port.container_port
    return ExposedPort(name, number, name, port.protocol, port.app_protocol, node_port, path)


def find_service_diagnostics(model: Model) -> Iterator[SettingDiagnostic]:
    """Yields the errors in the Services of a model, in its Ingress and in its NetworkPolicy."""
    services = list_services(model)
    ports = {key: list_ports(model, key) for key in services}
    names: dict[str, _Path] = {}
    for key, service in services.items():
        path = (*_setting_of(key), "name")
        # Default names are checked with the manifests.
        if service.name and (first := names.setdefault(service.name, path)) != path:
            message = f'is "{service.name}", like {".".join(first)}; expected another name'
            yield SettingDiagnostic(path, message, others=(first,))
        yield from _find_unknown_targets(model, key, service)
        yield from _find_in_ports(model, key, service, ports[key])
    yield from _find_unused(model, services, ports)
    yield from _find_in_ingress(model, services)
    policy = model.network_policy
    known = name_container_ports(model)
    for name, peer in ((policy.allow_from if policy else None) or {}).items():
        for index, port in enumerate(peer.ports):
            if isinstance(port, str) and port not in known:
                yield SettingDiagnostic(
                    ("networkPolicy", "allowFrom", name, "ports", index),
                    f'is "{port}"; expected one of the ports: {", ".join(sorted(known)) or "none"}',
                )


def _find_unknown_targets(model: Model, key: str, service: Service) -> Iterator[SettingDiagnostic]:
    """Reports target ports that no container has, or that two containers have.

    With two, Kubernetes would take that of the first container (FindPort in k8s.io/endpointslice).
    """
    paths: dict[str, list[_Path]] = {}
    for at in list_container_ports(model):
        paths.setdefault(at[-1], []).append(at)
    known = ", ".join(sorted(paths)) or "none"
    for name, port in (service.ports or {}).items():
        path: _Path = (*_setting_of(key), "ports", name)
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


def _find_in_ports(
    model: Model, key: str, service: Service, ports: list[ExposedPort]
) -> Iterator[SettingDiagnostic]:
    """Reports a Service without ports, and ports with a name or number that another one has."""
    setting = _setting_of(key)
    if not ports and service.ports == {}:
        yield SettingDiagnostic((*setting, "ports"), "is empty; give a port, or remove it")
    elif not ports and service.ports is None:
        switch = f"{'.'.join(setting)}.enabled: false"
        message = f"has a Service but no ports; give a port, or set {switch}"
        yield SettingDiagnostic(setting if key else (), message)
    containers = list_container_ports(model)
    numbers: dict[tuple[int, str], ExposedPort] = {}
    names: dict[str, ExposedPort] = {}
    for port in ports:
        same_name = names.setdefault(port.name, port)
        if same_name is not port:
            message = f"has the name of {'.'.join(same_name.setting)}, and a Service has both; "
            yield SettingDiagnostic(
                port.setting, f"{message}expected another name", others=(same_name.setting,)
            )
        first = numbers.setdefault((port.number, port.protocol), port)
        mine, other = containers.get(port.setting), containers.get(first.setting)
        # Two ports of containers with one number are reported there already.
        reported = mine and other and mine.container_port == other.container_port
        if first is not port and not reported:
            yield SettingDiagnostic(
                (*port.setting, "servicePort" if mine else "port"),
                f'is {port.number}, like that of "{first.name}"; expected another number',
                others=(first.setting,),
            )
        if port.node_port and service.type == "ClusterIP":
            message = "is allowed with NodePort and LoadBalancer only"
            yield SettingDiagnostic((*port.setting, "nodePort"), message)


def _find_unused(
    model: Model, services: dict[str, Service], ports: dict[str, list[ExposedPort]]
) -> Iterator[SettingDiagnostic]:
    """Reports settings of ports that only a Service reads, where no Service has the port."""
    by_default = any(service.ports is None for service in services.values())
    targets = {
        port.target for key in services if services[key].ports is not None for port in ports[key]
    }
    unused: list[tuple[_Path, Port, str]] = []
    for path, port in list_container_ports(model).items():
        is_used = path[-1] in targets or (by_default and _is_default(path, port))
        message = "has no effect: no Service lists the port under ports; remove it"
        if by_default:
            message = "has no effect without servicePort, which puts the port into the Service"
        if services and not is_used:
            unused.append((path, port, message))
    message = "has no effect: an init container ends before the Pod serves requests; remove it"
    for name, container in sorted(model.init_containers.items()):
        for port_name, port in container.ports.items():
            unused.append((("initContainers", name, "ports", port_name), port, message))
    for path, port, message in unused:
        for attribute, key in _OF_SERVICE.items():
            if getattr(port, attribute):
                yield SettingDiagnostic((*path, key), message)


def _find_in_ingress(model: Model, services: dict[str, Service]) -> Iterator[SettingDiagnostic]:
    ingress = model.ingress
    if ingress is None:
        return
    key = ingress.service or ""
    if key and key not in model.services:
        known = ", ".join(sorted(model.services)) or "none"
        message = f'is "{key}"; expected one of services: {known}'
        yield SettingDiagnostic(("ingress", "service"), message)
        return
    if key not in services:
        path: _Path = ("ingress", "service") if key else ("ingress",)
        setting = ".".join(_setting_of(key))
        yield SettingDiagnostic(path, f"needs the Service, but {setting}.enabled is false")
    names = [port.name for port in list_ports(model, key)]
    if ingress.port not in names:
        known = ", ".join(sorted(names)) or "none"
        message = f'is "{ingress.port}"; expected one of the ports: {known}'
        yield SettingDiagnostic(("ingress", "port"), message)
