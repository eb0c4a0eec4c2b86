"""Fields that the API server does not store, or fills in, are left out of normal objects."""

from __future__ import annotations

from typing import Any

import pytest

from framework.plan.api_defaults import normalize

Json = dict[str, Any]


@pytest.mark.parametrize(
    ("kind", "written", "stored"),
    [
        (
            "Service",
            {"ports": [{"port": 80, "name": "", "nodePort": 0}]},
            {"ports": [{"port": 80}]},
        ),
        ("Service", {"clusterIP": "", "selector": {"a": ""}}, {"selector": {"a": ""}}),
        (
            "PersistentVolumeClaim",
            {"storageClassName": "", "volumeName": ""},
            {"storageClassName": ""},
        ),
        (
            "PersistentVolumeClaim",
            {"dataSource": {"apiGroup": "", "kind": "PersistentVolumeClaim", "name": "a"}},
            {"dataSource": {"apiGroup": "", "kind": "PersistentVolumeClaim", "name": "a"}},
        ),
        ("Ingress", {"rules": [{"host": "", "http": {"paths": []}}]}, {"rules": [{}]}),
        (
            "NetworkPolicy",
            {"podSelector": {}, "ingress": [{"from": [{"podSelector": {}}]}]},
            {"podSelector": {}, "ingress": [{"from": [{"podSelector": {}}]}]},
        ),
    ],
    ids=["numbers and names", "labels", "class", "group", "emptied mappings", "empty selectors"],
)
def test_empty_values_are_left_out_where_they_mean_nothing(
    kind: str, written: Json, stored: Json
) -> None:
    normal = normalize({"apiVersion": "v1", "kind": kind, "spec": written})
    assert normal["spec"] == stored


@pytest.mark.parametrize(
    ("field", "written"),
    [
        ("readinessProbe", {"httpGet": {"port": 80, "httpHeaders": [{"name": "X", "value": ""}]}}),
        ("readinessProbe", {"httpGet": {"port": 80, "httpHeaders": [{"name": "X"}]}}),
        ("lifecycle", {"preStop": {"httpGet": {"port": 80, "httpHeaders": [{"name": "X"}]}}}),
    ],
    ids=["empty", "left out", "lifecycle"],
)
def test_a_header_without_a_value_has_an_empty_one(field: str, written: Json) -> None:
    pod = {"containers": [{"name": "a", "image": "b", field: written}]}
    spec = {"template": {"spec": pod}}
    normal = normalize({"apiVersion": "apps/v1", "kind": "Deployment", "spec": spec})
    found = normal["spec"]["template"]["spec"]["containers"][0][field]
    action = found.get("preStop", found)["httpGet"]
    assert action == {"port": 80, "httpHeaders": [{"name": "X", "value": ""}]}


def test_a_required_text_stays_although_it_is_empty() -> None:
    context = {"sysctls": [{"name": "kernel.domainname", "value": ""}]}
    spec = {"template": {"spec": {"containers": [], "hostname": "", "securityContext": context}}}
    normal = normalize({"apiVersion": "apps/v1", "kind": "Deployment", "spec": spec})
    assert normal["spec"] == {"template": {"spec": {"securityContext": context}}}
