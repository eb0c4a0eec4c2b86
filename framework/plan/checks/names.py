"""Lists the names, node ports and routes of each model, and reports those used twice in one model.

They are read from the manifests, so that values from patches are compared too. A `Claim` is one
such name; the claims of all models are compared in `facts.py`.
"""

from __future__ import annotations

from collections.abc import Iterator

from framework.catalog import CatalogModel
from framework.core.diagnostics import Code, Diagnostic, KeyPath, Position
from framework.core.field_paths import FieldPath
from framework.kinds.kind import Manifest
from framework.kube.objects import group_of
from framework.plan.checks.facts import MODEL_NAME, Claim
from framework.plan.checks.pods import container_setting
from framework.plan.manifest import ModelPlan
from framework.plan.rendered import mapping_in, mappings_in
from framework.settings.service_rules import list_ports

# The name of a Service is a DNS label, that of other objects may have 253 characters.
_LONGEST_SERVICE_NAME = 63

# Each manifest of a model with its names and node ports.
Names = list[tuple[Manifest, tuple[Claim, ...]]]


def list_names(model: CatalogModel, plan: ModelPlan) -> Names:
    """Returns the names in each manifest, which both checks below use."""
    return [(manifest, tuple(_list_names(model, manifest))) for manifest in plan.manifests]


def list_claims(model: CatalogModel, names: Names) -> tuple[Claim, ...]:
    """Returns the names, node ports and routes of a model, which no other model may have."""
    claims: dict[tuple[str, ...], Claim] = {}
    start = model.merged.start_of(model.home)
    claims[MODEL_NAME, model.name] = Claim(
        Code.NAME_CLASH, (MODEL_NAME, model.name), f'the name "{model.name}"', start
    )
    if previous := model.settings.previous_name:
        at = model.position(("previousName",))
        former = Claim(Code.NAME_CLASH, (MODEL_NAME, previous), f'the name "{previous}"', at)
        claims.setdefault(former.key, former)
    for manifest, own in names:
        for claim in own:
            claims.setdefault(claim.key, claim)
        if manifest.kind == "Ingress":
            setting: KeyPath = ("objects", manifest.object_key, "spec", "rules")
            if not manifest.object_key:
                settings: list[KeyPath] = [("ingress", "host"), ("ingress", "path")]
                setting = model.merged.find_latest(settings) or settings[0]
            position = model.position(setting)
            for key, host, path in _list_routes(manifest):
                claims[key] = Claim(Code.ROUTE_CLASH, key, f"{host}{path}", position)
    return tuple(claims.values())


def find_name_diagnostics(model: CatalogModel, names: Names) -> Iterator[Diagnostic]:
    """Yields an error for each name that two objects of one model have, and for long names."""
    first: dict[tuple[str, ...], tuple[Manifest, Claim]] = {}
    if model.settings.previous_name == model.name:
        message = "previousName is the name that the model has now; remove it"
        at = model.position(("previousName",))
        yield at.diagnostic(Code.NAME_CLASH, message, model.name)
    for manifest, own in names:
        if manifest.kind == "Service" and len(manifest.name) > _LONGEST_SERVICE_NAME:
            setting = FieldPath((*_setting_of(model, manifest), "name"))
            message = (
                f'the Service "{manifest.name}" has a name of {len(manifest.name)} characters; '
                f"expected at most {_LONGEST_SERVICE_NAME}; set {setting}"
            )
            yield _position_of(model, manifest).diagnostic(Code.NAME_CLASH, message, model.name)
        for claim in own:
            owner, taken = first.setdefault(claim.key, (manifest, claim))
            if owner is not manifest:
                message = f"{claim.what} exists twice in this model ({taken.position}); rename one"
                yield claim.position.diagnostic(claim.code, message, model.name)
                break


def _list_names(model: CatalogModel, manifest: Manifest) -> Iterator[Claim]:
    """Yields a claim for the name of an object, for its Pulumi name and for each node port."""
    position = _position_of(model, manifest)
    group = group_of(str(manifest.object["apiVersion"]))
    namespace = str(manifest.object["metadata"].get("namespace", ""))
    key: tuple[str, ...] = (group, manifest.kind, namespace, manifest.name)
    yield Claim(Code.NAME_CLASH, key, f'{manifest.kind} "{manifest.name}"', position)
    # Pulumi refuses two resources of one type and name, whatever their objects are called.
    key = ("pulumi", manifest.type_token, manifest.logical_name)
    what = f'the {manifest.kind} resource "{manifest.logical_name}"'
    yield Claim(Code.NAME_CLASH, key, what, position)
    if manifest.kind == "Service":
        for port in mappings_in(mapping_in(manifest.object, "spec"), "ports"):
            if number := port.get("nodePort"):
                key = ("nodePort", str(number), str(port.get("protocol", "TCP")))
                at = _position_of_node_port(model, manifest, number)
                yield Claim(Code.NAME_CLASH, key, f"node port {number}", at or position)


def _position_of_node_port(model: CatalogModel, manifest: Manifest, number: int) -> Position | None:
    """Returns where a node port is written; None if a patch adds it."""
    for port in list_ports(model.settings, manifest.part):
        if port.node_port == number:
            # A Service inherits the number from the port of the container where it sets none.
            at_target = ("ports", str(port.target), "nodePort")
            own = (*port.setting, "nodePort")
            return model.merged.origin(own) or model.merged.origin(at_target)
    return None


def _position_of(model: CatalogModel, manifest: Manifest) -> Position:
    """Returns the position of the setting that names an object, else the model's own file."""
    _, merged = model.tracks[manifest.track]
    setting = _setting_of(model, manifest)
    for path in ((*setting, "name"), setting if manifest.part else ()):
        if path and (position := merged.origin(path)):
            return position
    return merged.start_of(model.home)


def _setting_of(model: CatalogModel, manifest: Manifest) -> KeyPath:
    """Returns the setting that an object is built from, () for one that only the model names."""
    if manifest.object_key:
        return ("objects", manifest.object_key, "metadata")
    if manifest.kind == "Service":
        return ("services", manifest.part) if manifest.part else ("service",)
    if manifest.kind == "PersistentVolumeClaim":
        return ("volumes", manifest.part, "claim")
    if manifest.kind == "ConfigMap":
        return (*container_setting(model.settings, manifest.part), "config")
    return ()


def _list_routes(manifest: Manifest) -> Iterator[tuple[tuple[str, ...], str, str]]:
    """Yields the key, host and path of every route of an Ingress.

    The class is part of the key: each class has its own controller, which may serve the same host.
    """
    spec = mapping_in(manifest.object, "spec")
    ingress_class = str(spec.get("ingressClassName", ""))
    for rule in mappings_in(spec, "rules"):
        for route in mappings_in(mapping_in(rule, "http"), "paths"):
            host, path = str(rule.get("host", "*")), str(route.get("path", "/"))
            # Controllers compare prefixes element by element, so /a and /a/ are the same route.
            prefix = path.rstrip("/")
            key = ("route", ingress_class, host.lower(), str(route.get("pathType")), prefix)
            yield key, host, path
