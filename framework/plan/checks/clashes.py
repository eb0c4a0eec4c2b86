"""Names and routes that two models, or two environments, both claim.

Kept apart from the checks of one model: these compare what is rendered, so that whatever makes an
object is covered, and each is one pass over all models.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from framework.catalog import CatalogModel, list_environments, read_environment
from framework.core.diagnostics import Code, Diagnostic, Position
from framework.kinds.kind import Manifest
from framework.plan.checks.tracks import find_position, mapping_in, mappings_in
from framework.plan.manifest import ModelPlan


@dataclass(frozen=True)
class Claim:
    """What only one model may have: an object's name, or a host and path of one entry point."""

    code: Code
    key: tuple[str, ...]
    what: str
    position: Position


def list_claims(model: CatalogModel, plan: ModelPlan) -> tuple[Claim, ...]:
    """Every claim of a model, each once."""
    home = Position(model.home, 1, 1)
    found: dict[tuple[str, ...], Claim] = {}
    for manifest in plan.manifests:
        group = str(manifest.object["apiVersion"]).rpartition("/")[0]
        namespace = str(manifest.object["metadata"].get("namespace", ""))
        key: tuple[str, ...] = (group, manifest.kind, namespace, manifest.name)
        what = f'{manifest.kind} "{manifest.name}"'
        found[key] = Claim(Code.NAME_CLASH, key, what, home)
        if manifest.kind == "Ingress":
            position = find_position(model, ("ingress", "host"))
            for key, host, path in _list_routes(manifest):
                found[key] = Claim(Code.ROUTE_CLASH, key, f"{host}{path}", position)
    return tuple(found.values())


def find_clashes(claims: Mapping[str, Iterable[Claim]]) -> Iterator[Diagnostic]:
    """Each claim, by model in order of name, that an earlier model has too."""
    first: dict[tuple[str, ...], tuple[str, Claim]] = {}
    for model, of_model in claims.items():
        for claim in of_model:
            earlier, taken = first.setdefault(claim.key, (model, claim))
            if taken is not claim:
                remedy = "rename one of the two"
                if claim.code is Code.ROUTE_CLASH:
                    remedy = "give one of the two another host or path"
                message = f'model "{earlier}" claims {claim.what} too ({taken.position}); {remedy}'
                yield claim.position.diagnostic(claim.code, message, model)


def _list_routes(manifest: Manifest) -> Iterator[tuple[tuple[str, ...], str, str]]:
    """Key, host and path of every route of an Ingress; of two classes, two controllers serve."""
    spec = mapping_in(manifest.object, "spec")
    entry = str(spec.get("ingressClassName", ""))
    for rule in mappings_in(spec, "rules"):
        for route in mappings_in(mapping_in(rule, "http"), "paths"):
            host, path = str(rule.get("host", "*")), str(route.get("path", "/"))
            # Prefixes are compared by whole elements: /a and /a/ are one.
            key = ("route", entry, host.lower(), str(route.get("pathType")), path.rstrip("/"))
            yield key, host, path


def find_environment_clashes(root: Path) -> list[Diagnostic]:
    """Environments that share a cluster and a Namespace, each told at the second's `namespace`.

    Reads the environments' own files alone; one that has faults is passed over.
    """
    first: dict[tuple[str, str, str], tuple[str, Position]] = {}
    diagnostics = []
    for name in list_environments(root):
        settings, merged = read_environment(root, name)
        position = merged.origin(("namespace",))
        if settings is None or position is None:
            continue
        cluster = settings.cluster
        key = (cluster.kubeconfig_path, cluster.context, settings.namespace)
        earlier, taken = first.setdefault(key, (name, position))
        if taken is not position:
            message = (
                f'environment "{earlier}" has the namespace "{settings.namespace}" of the cluster '
                f'"{cluster.context}" too ({taken}); each stack needs one of its own'
            )
            diagnostics.append(position.diagnostic(Code.NAME_CLASH, message))
    return diagnostics
