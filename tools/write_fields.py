"""Writes field_types.json: what lightkube-models leaves out of the API server's field types.

`make fields` runs it with a local cluster of its own; review the change as a diff.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from framework.cluster.local import LocalCluster
from framework.kube.client import KubeClient
from framework.plan.patch.field_types import FILE, list_api_versions, list_kinds

ROOT = Path(__file__).resolve().parents[1]
# Definitions that are a single value.
_SCALARS = {"FieldsV1": "object", "MicroTime": "Time", "RawExtension": "object"}
_VALUES = (*_SCALARS, "IntOrString", "Quantity", "Time")

Node = dict[str, Any]


class ServerTypes:
    """The field types of the kinds in `list_kinds`, as the API server describes them."""

    def __init__(self, kube: KubeClient) -> None:
        schemas: dict[str, Node] = {}
        for version in list_api_versions():
            path = f"apis/{version}" if "/" in version else f"api/{version}"
            document = kube.connection.request("GET", f"/openapi/v3/{path}", path)
            self.version = str(document["info"]["version"])
            schemas.update(document["components"]["schemas"])
        self.definitions = _find_reachable(schemas)

    def fields(self) -> Iterator[tuple[str, Any]]:
        """Yields each field, `Container.image`, with its type as `describe` returns it."""
        # Some definitions have no fields, such as WorkloadPodGroupBasicSchedulingPolicy.
        for name, node in self.definitions.items():
            for key, field in node.get("properties", {}).items():
                yield f"{name}.{key}", describe(field)

    def list_keys(self) -> Iterator[tuple[str, list[str]]]:
        """Yields each list whose items differ in some keys, and those; [""] for a set of values."""
        for name, node in self.definitions.items():
            for key, field in node.get("properties", {}).items():
                if field.get("x-kubernetes-list-type") == "set":
                    yield f"{name}.{key}", [""]
                elif field.get("x-kubernetes-list-type") == "map":
                    yield f"{name}.{key}", field["x-kubernetes-list-map-keys"]

    def required(self, definition: str) -> list[str]:
        """Returns the fields that a definition requires, sorted."""
        return sorted(self.definitions[definition].get("required", ()))


def render_fields(kube: KubeClient) -> str:
    """Returns the text of field_types.json, sorted, one field a line."""
    server = ServerTypes(kube)
    enumerations, int64, quantity_maps = {}, [], []
    for field, type_ in server.fields():
        inner = type_
        if isinstance(type_, dict) and type_ != {"map": "Quantity"}:
            inner = type_.get("list") or type_.get("map") or type_
        if isinstance(inner, dict) and "enum" in inner:
            enumerations[field] = inner["enum"]
        elif inner == "int64":
            int64.append(field)
        elif inner == {"map": "Quantity"}:
            quantity_maps.append(field)
    return (
        f'{{\n"kubernetes": "{server.version}",\n'
        f'"enumerations": {_render_lists(enumerations)},\n'
        f'"listKeys": {_render_lists(dict(server.list_keys()))},\n'
        f'"int64": {_render_list(int64)},\n"quantityMaps": {_render_list(quantity_maps)}\n}}\n'
    )


def _render_lists(fields: Mapping[str, list[str]]) -> str:
    lines = (f' "{field}": {json.dumps(fields[field])}' for field in sorted(fields))
    return "{\n" + ",\n".join(lines) + "\n}"


def _render_list(fields: list[str]) -> str:
    return "[\n" + ",\n".join(f' "{field}"' for field in sorted(fields)) + "\n]"


def describe(node: Node) -> Any:
    """Returns a type as "string", {"list": type}, {"map": type} or {"enum": values}.

    Raises KeyError for a type that has none of these forms.
    """
    for part in (node, *node.get("allOf", ())):
        if "$ref" in part:
            short = part["$ref"].rpartition(".")[2]
            return _SCALARS.get(short, short)
    if "enum" in node:
        return {"enum": sorted(node["enum"])}
    match node["type"]:
        case "array":
            return {"list": describe(node["items"])}
        case "object":
            items = describe(node["additionalProperties"])
            # lightkube-models does not tell them apart, and only a status has a mapping of times.
            return {"map": "string" if items == "Time" else items}
        case "integer":
            return node["format"]
    return {"string": "string", "boolean": "boolean"}[node["type"]]


def _find_reachable(schemas: Mapping[str, Node]) -> dict[str, Node]:
    """Returns the definitions that the kinds consist of, by the last part of their names."""
    kinds = {kind for version in list_api_versions() for kind in list_kinds(version)}
    waiting = [name for name in schemas if name.startswith("io.k8s.api.") and _short(name) in kinds]
    full_names: dict[str, str] = {}
    while waiting:
        full = waiting.pop()
        short = _short(full)
        if short in _VALUES or full_names.get(short) == full:
            continue
        assert short not in full_names, f"{full} and {full_names[short]} have the same short name"
        full_names[short] = full
        waiting += [reference.rpartition("/")[2] for reference in _references(schemas[full])]
    return {short: schemas[full_names[short]] for short in sorted(full_names)}


def _short(name: str) -> str:
    return name.rpartition(".")[2]


def _references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if "$ref" in node:
            yield node["$ref"]
        for child in node.values():
            yield from _references(child)
    elif isinstance(node, list):
        for child in node:
            yield from _references(child)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="modelcatalog-") as folder:
        cluster = LocalCluster(ROOT, directory=Path(folder))
        try:
            cluster.up(lambda progress: None)
            with KubeClient.connect(cluster.kubeconfig, "local") as client:
                FILE.write_text(render_fields(client))
        finally:
            cluster.down()
