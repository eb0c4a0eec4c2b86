"""The field changes between two objects: their paths, values and managers."""

from __future__ import annotations

from typing import Any

import pytest

from framework.core.changes import FieldChange
from framework.kube.object_diff import compare_objects, pruned


def pod(**container: Any) -> dict[str, Any]:
    return {"kind": "Pod", "spec": {"containers": [{"name": "model", **container}]}}


def env(**values: str) -> dict[str, Any]:
    return pod(env=[{"name": name, "value": value} for name, value in values.items()])


def meta(**metadata: Any) -> dict[str, Any]:
    return {"kind": "Deployment", "metadata": metadata}


CASES = [
    pytest.param(
        pod(image="m:1"),
        pod(image="m:2"),
        [("spec.containers[model].image", "m:1", "m:2")],
        id="list-item-by-name",
    ),
    pytest.param(env(A="1"), env(A="2"), [("spec.containers[model].env[A]", "1", "2")], id="env"),
    pytest.param(
        env(), env(DEBUG="1"), [("spec.containers[model].env[DEBUG]", None, "1")], id="env-added"
    ),
    pytest.param(
        env(A="1", B="2"),
        env(B="2", A="1"),
        [("spec.containers[model].env", ["A", "B"], ["B", "A"])],
        id="order-alone",
    ),
    pytest.param(
        pod(ports=[{"containerPort": 80, "name": "a"}]),
        pod(ports=[{"containerPort": 80, "name": "b"}]),
        [("spec.containers[model].ports[80].name", "a", "b")],
        id="port",
    ),
    pytest.param(
        {"kind": "Service", "spec": {"ports": [{"port": 80, "targetPort": 1}]}},
        {"kind": "Service", "spec": {"ports": [{"port": 80, "targetPort": 2}]}},
        [("spec.ports[80].targetPort", 1, 2)],
        id="service-port",
    ),
    pytest.param(
        pod(args=["a", "b"]),
        pod(args=["a", "c", "d"]),
        [
            ("spec.containers[model].args[1]", "b", "c"),
            ("spec.containers[model].args[2]", None, "d"),
        ],
        id="plain-list-by-index",
    ),
    pytest.param(
        meta(annotations={"a.b/c": "1"}),
        meta(annotations={"a.b/c": "2"}),
        [('metadata.annotations["a.b/c"]', "1", "2")],
        id="dotted-key",
    ),
    pytest.param(
        meta(annotations={"kubectl.kubernetes.io/restartedAt": "now"}),
        meta(),
        [('metadata.annotations["kubectl.kubernetes.io/restartedAt"]', "now", None)],
        id="restartedAt-is-drift",
    ),
    pytest.param(
        meta(
            annotations={
                "kubectl.kubernetes.io/last-applied-configuration": "{}",
                "deployment.kubernetes.io/revision": "3",
            },
            resourceVersion="1",
            uid="u",
            generation=2,
            managedFields=[],
            creationTimestamp="t",
        )
        | {"status": {"replicas": 1}},
        meta(),
        [],
        id="noise",
    ),
    pytest.param(
        {"kind": "Secret", "data": {"token": "b2xk"}},
        {"kind": "Secret", "data": {"token": "bmV3", "more": "eA=="}},
        [("data.more", None, "[secret]"), ("data.token", "[secret]", "[secret]")],
        id="secret-redacted",
    ),
    pytest.param(
        {"kind": "Secret"},
        {"kind": "Secret", "data": {"token": "bmV3"}},
        [("data.token", None, "[secret]")],
        id="whole-secret-data-redacted",
    ),
    pytest.param({"spec": {"a": 1}}, {"spec": {"a": 1.0}}, [], id="equal-numbers"),
    pytest.param({"spec": {"a": None}}, {"spec": {}}, [], id="null-is-absent"),
]


@pytest.mark.parametrize(("old", "new", "fields"), CASES)
def test_each_difference_is_one_field_change(
    old: Any, new: Any, fields: list[tuple[str, Any, Any]]
) -> None:
    assert compare_objects(old, new) == tuple(FieldChange(*field) for field in fields)


@pytest.mark.parametrize(("old", "new", "fields"), CASES)
def test_object_compared_with_itself_has_no_changes(old: Any, new: Any, fields: Any) -> None:
    assert compare_objects(old, old) == compare_objects(new, new) == ()


def test_change_names_the_manager_of_the_live_value() -> None:
    entry = {
        "manager": "kubectl-edit",
        "operation": "Update",
        "time": "2026-11-22T17:41:00Z",
        "fieldsV1": {"f:spec": {"f:replicas": {}}},
    }
    live = {"metadata": {"managedFields": [entry]}, "spec": {"replicas": 9}}
    (field,) = compare_objects(live, {"spec": {"replicas": 6}}, written=live)
    assert (field.manager, field.time) == ("kubectl-edit", "2026-11-22T17:41:00Z")


def test_pruned_keeps_the_fields_of_the_shape() -> None:
    live = {"spec": {"containers": [{"name": "b", "x": 1}, {"name": "model", "x": 1, "y": 2}]}}
    shape = {"spec": {"containers": [{"name": "model", "x": 0}]}}
    assert pruned(live, shape) == {
        "spec": {"containers": [{"name": "b", "x": 1}, {"name": "model", "x": 1}]}
    }


def headers(name: str, value: str) -> dict[str, Any]:
    return pod(readinessProbe={"httpGet": {"httpHeaders": [{"name": name, "value": value}]}})


_HEADERS = "spec.containers[model].readinessProbe.httpGet.httpHeaders"
_TOKEN = {"name": "API_TOKEN", "value": "first"}
_FILE = "port = {}\npassword = {}\n"


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        pytest.param(
            env(GH_PAT="a"), env(GH_PAT="b"),
            [("spec.containers[model].env[GH_PAT]", "[secret]", "[secret]")], id="variable",
        ),
        pytest.param(
            env(), env(GH_PAT="b"),
            [("spec.containers[model].env[GH_PAT]", None, "[secret]")], id="new variable",
        ),
        pytest.param(
            pod(args=["--api-key", "a"]), pod(args=["--api-key", "b"]),
            [("spec.containers[model].args[1]", "[secret]", "[secret]")], id="option",
        ),
        pytest.param(
            {"kind": "ConfigMap", "data": {"app.conf": _FILE.format(80, "a-pw")}},
            {"kind": "ConfigMap", "data": {"app.conf": _FILE.format(81, "b-pw")}},
            [('data["app.conf"]', _FILE.format(80, "[secret]"), _FILE.format(81, "[secret]"))],
            id="configuration file",
        ),
        pytest.param(
            env(MAX_TOKENS="1"), env(MAX_TOKENS="2"),
            [("spec.containers[model].env[MAX_TOKENS]", "1", "2")], id="no secret",
        ),
        pytest.param(
            pod(env=[{"name": "T", "valueFrom": {"secretKeyRef": {"name": "a", "key": "token"}}}]),
            pod(env=[{"name": "T", "valueFrom": {"secretKeyRef": {"name": "a", "key": "other"}}}]),
            [("spec.containers[model].env[T].valueFrom.secretKeyRef.key", "token", "other")],
            id="reference to a Secret",
        ),
        pytest.param(
            pod(env=[_TOKEN]), pod(env=[_TOKEN, {**_TOKEN, "value": "other"}]),
            [("spec.containers[model].env[1]", None, {**_TOKEN, "value": "[secret]"})],
            id="variable that occurs twice",
        ),
        pytest.param(
            pod(env=[_TOKEN, _TOKEN]), pod(env=[_TOKEN, {**_TOKEN, "value": "other"}]),
            [("spec.containers[model].env[1].value", "[secret]", "[secret]")],
            id="second value of a variable",
        ),
        pytest.param(
            headers("X-Api-Key", "a"), headers("X-Api-Key", "b"),
            [(f"{_HEADERS}[0].value", "[secret]", "[secret]")], id="header of a probe",
        ),
        pytest.param(
            headers("Host", "a"), headers("X-Api-Key", "b"),
            [(f"{_HEADERS}[0].name", "Host", "X-Api-Key"),
             (f"{_HEADERS}[0].value", "[secret]", "[secret]")], id="header with a new name",
        ),
        pytest.param(
            headers("Host", "a"), headers("Host", "b"),
            [(f"{_HEADERS}[0].value", "a", "b")], id="plain header",
        ),
        pytest.param(
            {"spec": {"parameters": [{"key": "password", "value": {"text": "a"}}]}},
            {"spec": {"parameters": [{"key": "password", "value": {"text": "b"}}]}},
            [("spec.parameters[0].value.text", "[secret]", "[secret]")],
            id="parameter of a custom resource",
        ),
        pytest.param(
            {"spec": {}}, {"spec": {"parameters": [{"name": "password", "value": "b"}]}},
            [("spec.parameters", None, [{"name": "password", "value": "[secret]"}])],
            id="new parameters",
        ),
        pytest.param(
            pod(command=["mysql"]), pod(command=["mysql"], args=["-phunter22"]),
            [("spec.containers[model].args", None, ["-p[secret]"])], id="new args of a command",
        ),
        pytest.param(
            pod(command=["redis-cli"], args=["-a", "hunter22"]), pod(command=["redis-cli"]),
            [("spec.containers[model].args", ["-a", "[secret]"], None)], id="removed args",
        ),
    ],
)  # fmt: skip
def test_plain_values_that_may_be_secret_are_redacted(
    old: dict[str, Any], new: dict[str, Any], expected: list[tuple[str, Any, Any]]
) -> None:
    changes = compare_objects(old, new)
    assert [(change.path, change.old, change.new) for change in changes] == expected
