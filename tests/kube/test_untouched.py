"""An object that only this stack wrote needs no dry run, also if the CLI left out a zero of it."""

from __future__ import annotations

from typing import Any

import pytest

from framework.kube.last_applied import compare_with_last_applied
from framework.kube.object_diff import LiveStatus, compare_objects
from framework.kube.objects import FIELD_MANAGER, ObjectState
from framework.kube.ownership import is_same_but_zeros, is_untouched

Object = dict[str, Any]
MANAGER = "pulumi-kubernetes-58430e23"


def build(api_version: str, **fields: Any) -> Object:
    metadata = {"name": "churn", "namespace": "ml"}
    return {"apiVersion": api_version, "kind": "Any", "metadata": metadata, **fields}


def build_live(obj: Object, manager: str, operation: str, owned: Object) -> Object:
    entry = {"manager": manager, "operation": operation, "fieldsV1": owned}
    return {**obj, "metadata": {**obj["metadata"], "managedFields": [entry]}}


@pytest.mark.parametrize(
    ("api_version", "sent", "live", "expected"),
    [
        pytest.param("apps/v1", {"minReadySeconds": 0}, {}, True, id="number"),
        pytest.param("apps/v1", {"paused": False}, {}, True, id="boolean"),
        pytest.param("apps/v1", {"a": [{"tty": False}]}, {"a": [{}]}, True, id="in-a-list"),
        pytest.param("apps/v1", {"minReadySeconds": 5}, {}, False, id="not-zero"),
        pytest.param(
            "apps/v1", {"minReadySeconds": 0}, {"minReadySeconds": 5}, False, id="other-value"
        ),
        pytest.param("apps/v1", {"replicas": 0}, {}, False, id="zero-that-counts"),
        pytest.param("v1", {"tty": ""}, {}, False, id="text"),
        pytest.param("v1", {"tty": None}, {}, False, id="null"),
        pytest.param("example.com/v1", {"minReadySeconds": 0}, {}, False, id="custom-resource"),
    ],
)
@pytest.mark.parametrize(
    ("manager", "operation"), [("pulumi-kubernetes", "Update"), (MANAGER, "Apply")]
)
def test_value_that_is_zero_and_absent_is_as_sent(
    manager: str, operation: str, api_version: str, sent: Object, live: Object, expected: bool
) -> None:
    obj = build_live(build(api_version, spec=live), manager, operation, {})
    assert is_untouched(obj, obj, build(api_version, spec=sent), MANAGER) is expected


@pytest.mark.parametrize(
    ("api_version", "old", "new", "expected"),
    [
        ("apps/v1", {"minReadySeconds": 0, "replicas": 2}, {"replicas": 2}, True),
        ("apps/v1", {"minReadySeconds": 0}, {"minReadySeconds": 5}, False),
        ("apps/v1", {"replicas": 0}, {}, False),
        ("apps/v1", {"automountServiceAccountToken": False}, {}, False),
        ("example.com/v1", {"paused": False}, {}, False),
        ("example.com/v1", {"strict": 1}, {"strict": True}, False),
        ("example.com/v1", {"rates": [0]}, {"rates": [False]}, False),
        ("example.com/v1", {"rate": 1}, {"rate": 1.0}, True),
    ],
)
def test_inputs_that_differ_in_absent_zeros_are_the_same(
    api_version: str, old: Object, new: Object, expected: bool
) -> None:
    pair = build(api_version, spec=old), build(api_version, spec=new)
    assert is_same_but_zeros(*pair) is is_same_but_zeros(*reversed(pair)) is expected


def test_true_is_not_one_in_a_custom_resource() -> None:
    sent, live = build("example.com/v1", spec={"a": 1}), build("example.com/v1", spec={"a": True})
    assert [field.path for field in compare_objects(sent, live)] == ["spec.a"]
    owned: Object = {"f:spec": {"f:a": {}}}
    obj = build_live(live, MANAGER, "Apply", owned)
    assert not is_untouched(obj, obj, sent, MANAGER)


@pytest.mark.parametrize(("live", "status"), [("b", LiveStatus.SAME), ("c", LiveStatus.CHANGED)])
@pytest.mark.parametrize("recorded", [{}, {"owner": "a"}], ids=["missing", "old"])
def test_late_record_of_an_update_is_no_drift(
    recorded: Object, live: str, status: LiveStatus
) -> None:
    """The CLI's provider may record the object as it was before its own update of a label."""

    def build_labelled(labels: Object) -> Object:
        obj = build("apps/v1")
        return {**obj, "metadata": {**obj["metadata"], "labels": labels}}

    owned: Object = {"f:metadata": {"f:labels": {"f:owner": {}}}}
    now = build_live(build_labelled({"owner": live}), MANAGER, "Apply", owned)
    before = build_live(build_labelled(recorded), MANAGER, "Apply", {})
    inputs = build_labelled({"owner": "b"})
    state = ObjectState("ml/churn", inputs, {**before, FIELD_MANAGER: MANAGER})
    found = compare_with_last_applied(state, ObjectState("ml/churn", inputs, now), ())
    assert found.status is status
