"""Writes the fields of the kinds that a model may have, as a real API server describes them.

`make fields` runs it, on a local cluster of its own; the change is reviewed as a diff.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from framework.cluster.local import LocalCluster
from framework.kube.client import KubeClient
from framework.plan.kubernetes_fields import FILE

ROOT = Path(__file__).resolve().parents[2]
_PREFIX = "io.k8s.api."
_KINDS = {
    "api/v1": ("core.v1.ConfigMap", "core.v1.Service", "core.v1.ServiceAccount"),
    "apis/apps/v1": ("apps.v1.Deployment",),
    "apis/autoscaling/v2": ("autoscaling.v2.HorizontalPodAutoscaler",),
    "apis/networking.k8s.io/v1": ("networking.v1.Ingress", "networking.v1.NetworkPolicy"),
    "apis/policy/v1": ("policy.v1.PodDisruptionBudget",),
}
# Definitions that are one value, and what they are called in the file.
_VALUES = {
    "FieldsV1": "object",
    "IntOrString": "IntOrString",
    "Quantity": "Quantity",
    "Time": "string",
}

Node = dict[str, Any]


def render_fields(kube: KubeClient) -> str:
    """The whole file: one field a line, sorted, without descriptions."""
    version, schemas = "", {}
    for path in _KINDS:
        document = kube.connection.request("GET", f"/openapi/v3/{path}", path)
        version = document["info"]["version"]
        schemas.update(document["components"]["schemas"])
    found = _find_reachable(schemas)
    definitions = ",\n".join(_render_definition(name, node) for name, node in found.items())
    required = ",\n".join(
        f'"{name}": {json.dumps(sorted(node["required"]))}'
        for name, node in found.items()
        if "required" in node
    )
    return (
        f'{{\n"kubernetes": "{version}",\n"definitions": {{\n{definitions}\n}},\n'
        f'"required": {{\n{required}\n}}\n}}\n'
    )


def _find_reachable(schemas: Mapping[str, Node]) -> dict[str, Node]:
    """The definitions that the kinds are made of, sorted by the last part of their names."""
    waiting = [f"{_PREFIX}{kind}" for kinds in _KINDS.values() for kind in kinds]
    found: dict[str, str] = {}
    while waiting:
        full = waiting.pop()
        short = full.rpartition(".")[2]
        if short in _VALUES or found.get(short) == full:
            continue
        assert short not in found, f"{full} and {found[short]} would have one name"
        found[short] = full
        waiting += map(_name_of, _references(schemas[full]))
    return {short: schemas[found[short]] for short in sorted(found)}


def _references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if "$ref" in node:
            yield node["$ref"]
        for child in node.values():
            yield from _references(child)
    elif isinstance(node, list):
        for child in node:
            yield from _references(child)


def _name_of(reference: str) -> str:
    return reference.rpartition("/")[2]


def _render_definition(name: str, node: Node) -> str:
    properties = node["properties"]
    lines = (f' "{key}": {json.dumps(_describe(properties[key]))}' for key in sorted(properties))
    return f'"{name}": {{\n' + ",\n".join(lines) + "\n}"


def _describe(node: Node) -> Any:
    """A field's type as the file has it; KeyError for one that is of no known form."""
    for one in (node, *node.get("allOf", ())):
        if "$ref" in one:
            short = one["$ref"].rpartition(".")[2]
            return _VALUES.get(short, short)
    if "enum" in node:
        return {"enum": sorted(node["enum"])}
    match node["type"]:
        case "array":
            merges = "merge" in node.get("x-kubernetes-patch-strategy", "").split(",")
            key = node.get("x-kubernetes-patch-merge-key") if merges else None
            return {"list": _describe(node["items"])} | ({"mergeKey": key} if key else {})
        case "object":
            return {"map": _describe(node["additionalProperties"])}
        case "integer":
            return node["format"]
    return {"string": "string", "boolean": "boolean"}[node["type"]]


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="modelcatalog-") as folder:
        cluster = LocalCluster(ROOT, directory=Path(folder))
        try:
            cluster.up(lambda progress: None)
            with KubeClient.connect(cluster.kubeconfig, "local") as client:
                FILE.write_text(render_fields(client))
        finally:
            cluster.down()
