"""Strategic merge: the same result as on the API server, and algebraic properties."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from framework.core.field_paths import FieldPath
from framework.plan.patch.field_types import FieldType
from framework.plan.patch.merge import (
    PatchError,
    apply_patch,
    find_touched,
    list_fields,
    merge_key,
)

MANIFEST: dict[str, Any] = {
    "kind": "Deployment",
    "spec": {
        "x": 1,
        "list": [1, 2],
        "template": {
            "spec": {
                "containers": [
                    {
                        "name": "model",
                        "args": ["a"],
                        "env": [{"name": "A", "value": "1"}],
                        "ports": [
                            {"containerPort": 80, "name": "http"},
                            {"containerPort": 80, "name": "quic", "protocol": "UDP"},
                        ],
                    },
                    {"name": "side"},
                ]
            }
        },
    },
}
CONTAINERS = ("spec", "template", "spec", "containers")


def _containers(*patches: dict[str, Any]) -> dict[str, Any]:
    return {"spec": {"template": {"spec": {"containers": list(patches)}}}}


@pytest.mark.parametrize(
    ("patch", "where", "expected"),
    [
        pytest.param({"spec": {"y": {"z": 1}}}, ("spec", "y"), {"z": 1}, id="new mapping"),
        pytest.param({"spec": {"x": 2}}, ("spec", "x"), 2, id="value"),
        pytest.param({"spec": {"list": [3]}}, ("spec", "list"), [3], id="other lists are replaced"),
        pytest.param({"spec": {"y": {"z": None}}}, ("spec", "y"), {}, id="null of nothing"),
        pytest.param(
            {"spec": {"$patch": "replace", "y": 1}}, ("spec",), {"y": 1}, id="replaced mapping"
        ),
        pytest.param(
            _containers({"name": "model", "env": [{"name": "B", "value": "2"}]}),
            (*CONTAINERS, 0, "env"),
            [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}],
            id="named items merge",
        ),
        pytest.param(
            _containers({"name": "side", "$patch": "delete"}),
            CONTAINERS,
            MANIFEST["spec"]["template"]["spec"]["containers"][:1],
            id="deleted item",
        ),
        pytest.param(
            _containers({"name": "new", "image": "i"}),
            (*CONTAINERS, 2),
            {"name": "new", "image": "i"},
            id="added item",
        ),
        pytest.param(
            _containers({"name": "model", "ports": [{"containerPort": 80, "hostPort": 81}]}),
            (*CONTAINERS, 0, "ports"),
            [
                {"containerPort": 80, "name": "http", "hostPort": 81},
                {"containerPort": 80, "name": "quic", "protocol": "UDP"},
            ],
            id="first port of this containerPort",
        ),
        pytest.param(
            {"spec": {"containers": [{"name": "model"}]}},
            ("spec", "containers"),
            [{"name": "model"}],
            id="no merge where the API has no such list",
        ),
    ],
)
def test_a_patch_merges_as_on_the_server(
    patch: dict[str, Any], where: tuple[str | int, ...], expected: Any
) -> None:
    before = deepcopy(MANIFEST)
    value: Any = apply_patch(MANIFEST, patch)
    for step in where:
        value = value[step]
    assert value == expected
    assert before == MANIFEST


def test_null_removes_a_field() -> None:
    assert "x" not in apply_patch(MANIFEST, {"spec": {"x": None}})["spec"]


@pytest.mark.parametrize(
    ("patch", "at", "words"),
    [
        pytest.param({"spec": {"x": {}}}, ("spec", "x"), "expected a single value", id="mapping"),
        pytest.param({"spec": {"list": 1}}, ("spec", "list"), "expected a list", id="value"),
        pytest.param({"spec": []}, ("spec",), "expected a mapping", id="list"),
        pytest.param(_containers({"args": []}), (*CONTAINERS, 0), "no name", id="no key"),
        pytest.param(_containers({"name": {}}), (*CONTAINERS, 0), "no name", id="no text"),
        pytest.param(
            _containers({"name": "x", "$patch": "delete"}),
            (*CONTAINERS, 0),
            "deletes x",
            id="nothing to delete",
        ),
        pytest.param(
            {"spec": {"$retainKeys": []}},
            ("spec", "$retainKeys"),
            "supported directive",
            id="directive",
        ),
    ],
)
def test_a_patch_that_cannot_be_merged_is_refused(
    patch: dict[str, Any], at: tuple[str | int, ...], words: str
) -> None:
    with pytest.raises(PatchError, match=words) as caught:
        apply_patch(MANIFEST, patch)
    assert [diagnostic.path for diagnostic in caught.value.diagnostics] == [at]


def test_all_errors_are_reported_at_once() -> None:
    patch = {"spec": {"x": [], "list": {}, **_containers({"args": []}, {})["spec"]}}
    with pytest.raises(PatchError) as caught:
        apply_patch(MANIFEST, patch)
    positions = [diagnostic.path for diagnostic in caught.value.diagnostics]
    assert positions == [("spec", "x"), ("spec", "list"), (*CONTAINERS, 0), (*CONTAINERS, 1)]


@pytest.mark.parametrize(
    ("patch", "expected"),
    [
        pytest.param({"a": {"b": 1}}, ("a", "b"), id="set"),
        pytest.param({"a": {"b": {"c": 1}}}, ("a", "b"), id="below"),
        pytest.param({"a": None}, ("a",), id="removed with its parent"),
        pytest.param({"a": {"$patch": "replace"}}, ("a", "$patch"), id="replaced"),
        pytest.param({"a": {"c": 1}}, None, id="beside"),
    ],
)
def test_find_touched_returns_the_place_that_sets_a_path(
    patch: dict[str, Any], expected: tuple[str, ...] | None
) -> None:
    assert find_touched(patch, FieldPath(("a", "b"))) == expected


def test_patched_fields_are_listed_as_field_paths() -> None:
    patch = {
        "metadata": {"annotations": {"a.b/c": "x"}},
        "spec": {
            "list": [1],
            **_containers({"name": "m", "env": [{"name": "A", "value": ""}]})["spec"],
        },
    }
    assert list_fields("Deployment", patch) == (
        'metadata.annotations["a.b/c"]',
        "spec.list",
        "spec.template.spec.containers[m].env[A].value",
    )


@pytest.mark.parametrize(
    ("kind", "at", "key"),
    [
        ("Deployment", CONTAINERS, "name"),
        ("Deployment", (*CONTAINERS, "ports"), "containerPort"),
        ("Deployment", (*CONTAINERS, "args"), ""),
        ("Deployment", ("spec", "template", "spec", "tolerations"), ""),
        ("Service", ("spec", "ports"), "port"),
        ("ServiceAccount", ("secrets",), "name"),
        ("NetworkPolicy", ("spec", "ingress", "ports"), ""),
        ("HorizontalPodAutoscaler", ("spec", "metrics"), ""),
    ],
    ids=str,
)
def test_a_list_merges_by_the_key_of_its_place(kind: str, at: tuple[str, ...], key: str) -> None:
    type_: FieldType | None = FieldType(kind)
    for step in at:
        assert type_
        type_ = (type_.items if type_.name == "list" and type_.items else type_).child(step)
    assert type_
    assert type_.name == "list"
    assert merge_key(FieldPath(at), type_) == key


_scalars = st.sampled_from([0, 1, "", "x", True])
_trees = st.recursive(
    _scalars,
    lambda inner: st.dictionaries(st.sampled_from("abcd"), inner, max_size=3),
    max_leaves=8,
)
_named = st.lists(
    st.fixed_dictionaries({"name": st.sampled_from("mnop"), "value": _scalars}),
    max_size=3,
    unique_by=lambda item: item["name"],
)


def _manifests(keys: str) -> st.SearchStrategy[dict[str, Any]]:
    fields = st.dictionaries(st.sampled_from(keys), _trees, max_size=3)
    return st.builds(lambda tree, env: {"kind": "Deployment", **_model(tree, env)}, fields, _named)


def _model(tree: dict[str, Any], env: list[dict[str, Any]]) -> dict[str, Any]:
    return _containers({"name": "model", **tree, "env": env})


@given(_manifests("abcd"))
def test_an_empty_patch_changes_nothing(manifest: dict[str, Any]) -> None:
    assert apply_patch(manifest, {}) == manifest
    assert apply_patch(manifest, manifest) == manifest


@given(_manifests("abcd"), st.dictionaries(st.sampled_from("xy"), _trees), _named)
def test_disjoint_patches_commute(
    manifest: dict[str, Any], tree: dict[str, Any], env: list[dict[str, Any]]
) -> None:
    with_tree, with_env = _containers({"name": "model", **tree}), _model({}, env)
    both = _model(tree, env)
    assert apply_patch(apply_patch(manifest, with_tree), with_env) == apply_patch(manifest, both)
    assert apply_patch(apply_patch(manifest, with_env), with_tree) == apply_patch(manifest, both)


@given(_manifests("abcd"), _named)
def test_a_patch_is_idempotent(manifest: dict[str, Any], env: list[dict[str, Any]]) -> None:
    once = apply_patch(manifest, _model({}, env))
    assert apply_patch(once, _model({}, env)) == once
