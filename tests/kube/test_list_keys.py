"""The table of list keys is the API server's own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from framework.core.field_paths import KEY_DEFAULTS, LIST_KEYS
from framework.kube.client import KubeClient

pytestmark = pytest.mark.cluster

GROUPS = (
    "api/v1",
    "apis/apps/v1",
    "apis/autoscaling/v2",
    "apis/networking.k8s.io/v1",
    "apis/policy/v1",
)
KINDS = (
    "core.v1.ConfigMap",
    "core.v1.Namespace",
    "core.v1.PersistentVolumeClaim",
    "core.v1.Secret",
    "core.v1.Service",
    "core.v1.ServiceAccount",
    "apps.v1.Deployment",
    "autoscaling.v2.HorizontalPodAutoscaler",
    "networking.v1.Ingress",
    "networking.v1.NetworkPolicy",
    "policy.v1.PodDisruptionBudget",
)
# A port of a Service has other keys than a port of a container.
QUALIFIED = {("ServiceSpec", "ports"): "spec.ports"}


def _schema_of(node: Mapping[str, Any]) -> str:
    parts = (node, *node.get("allOf", ()))
    return next((p["$ref"].rpartition("/")[2] for p in parts if "$ref" in p), "")


def _properties(schemas: Mapping[str, Any]) -> Iterator[tuple[str, str, Any]]:
    """Yields (definition, field, schema) of all that people can write in these kinds."""
    waiting = [f"io.k8s.api.{kind}" for kind in KINDS]
    visited: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name in visited:
            continue
        visited.add(name)
        for field, node in schemas[name].get("properties", {}).items():
            if field == "status":
                continue
            yield name.rpartition(".")[2], field, node
            children = (node, node.get("items") or {}, node.get("additionalProperties") or {})
            waiting += [schema for child in children if (schema := _schema_of(child))]


@pytest.fixture(scope="module")
def schemas(kube: KubeClient) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for group in GROUPS:
        document = kube.connection.request("GET", f"/openapi/v3/{group}", group)
        found.update(document["components"]["schemas"])
    return found


def test_list_keys_are_those_of_the_server(schemas: dict[str, Any]) -> None:
    keys = {
        QUALIFIED.get((definition, field), field): tuple(node["x-kubernetes-list-map-keys"])
        for definition, field, node in _properties(schemas)
        if "x-kubernetes-list-map-keys" in node
    }
    assert dict(LIST_KEYS) == {name: keys[name] for name in sorted(keys)}


def test_key_defaults_are_those_of_the_server(schemas: dict[str, Any]) -> None:
    for definition in ("core.v1.ContainerPort", "core.v1.ServicePort"):
        fields = schemas[f"io.k8s.api.{definition}"]["properties"]
        defaults = {key: fields[key]["default"] for key in ("protocol",)}
        assert defaults == KEY_DEFAULTS
