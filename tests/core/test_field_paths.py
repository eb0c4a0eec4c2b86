"""Field paths: their text, the names of list items, and the values at a path."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from framework.core.field_paths import (
    LIST_KEYS,
    MISSING,
    FieldPath,
    FieldPathError,
    ItemKey,
    get_at,
    match_items,
    name_path,
    resolve,
    walk,
)

PORTS = FieldPath.parse("spec.template.spec.containers[model].ports")
TCP, UDP = {"containerPort": 53}, {"containerPort": 53, "protocol": "UDP"}
HTTP = {"containerPort": 8000, "protocol": "TCP", "name": "http"}
DEPLOYMENT = {
    "metadata": {"annotations": {"example.com/owner": "nlp"}},
    "spec": {
        "containers": [
            {
                "name": "model",
                "args": ["a", "b"],
                "env": [{"name": "A", "value": "1"}],
                "ports": [HTTP, TCP, UDP],
                "volumeMounts": [{"mountPath": "/models", "name": "weights"}],
            }
        ],
        "tolerations": [],
    },
}


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("", ()),
        ("spec.replicas", ("spec", "replicas")),
        ('metadata.annotations["a.b/c"]', ("metadata", "annotations", "a.b/c")),
        ('data["say \\"hi\\""]', ("data", 'say "hi"')),
        (r'data["a.b\\"]', ("data", "a.b\\")),
        (r'containers["a]\\\"b"].image', ("containers", 'a]\\"b', "image")),
        ("args[1]", ("args", 1)),
        ("containers[model].image", ("containers", ItemKey("model"), "image")),
        ("volumeMounts[/models]", ("volumeMounts", ItemKey("/models"))),
        ("ports[8000].name", ("ports", 8000, "name")),
        ("ports[53/UDP]", ("ports", ItemKey("53/UDP"))),
    ],
)
def test_text_and_steps_convert_both_ways(text: str, steps: tuple[Any, ...]) -> None:
    assert FieldPath.parse(text) == FieldPath(steps)
    assert str(FieldPath(steps)) == text


keys = st.text(max_size=5) | st.text('\\"[].a', max_size=5)
items = st.from_regex(r"[a-z/.]+", fullmatch=True).map(ItemKey)


@given(st.lists(keys | items | st.integers(min_value=0)).map(tuple))
def test_parsing_the_text_of_a_path_returns_the_path(steps: tuple[Any, ...]) -> None:
    assert FieldPath.parse(str(FieldPath(steps))).steps == steps


@pytest.mark.parametrize(
    ("text", "character"), [("spec[", 5), ("spec..a", 5), ('a["b', 2), ("a[]", 2)]
)
def test_error_names_the_first_character_that_cannot_be_parsed(text: str, character: int) -> None:
    with pytest.raises(FieldPathError) as error:
        FieldPath.parse(text)
    assert error.value.character == character


def find_value(text: str) -> Any:
    """Returns the value of DEPLOYMENT at a path, or MISSING."""
    concrete = resolve(DEPLOYMENT, FieldPath.parse(text))
    return MISSING if concrete is None else get_at(DEPLOYMENT, concrete)


@pytest.mark.parametrize(
    ("path", "parent", "within"),
    [("a.b", "", True), ("a.b", "a", True), ("a[b]", "a", True), ("ab", "a", False)],
)
def test_path_is_within_its_parents(path: str, parent: str, within: bool) -> None:
    assert FieldPath.parse(path).is_within(FieldPath.parse(parent)) is within


@pytest.mark.parametrize(
    ("old", "new", "steps"),
    [
        pytest.param([HTTP], [HTTP, UDP], ["8000", "53"], id="first-key-alone"),
        pytest.param([UDP], [TCP, UDP], ["53/UDP", "53/TCP"], id="both-where-one-is-not-unique"),
        pytest.param([TCP], [UDP], ["53"], id="other-protocol-is-the-same-item"),
        pytest.param([HTTP, TCP], [TCP, UDP], ["8000", "53/TCP", "53/UDP"], id="default-protocol"),
        pytest.param([HTTP, HTTP], [TCP], ["0", "1"], id="duplicates-go-by-index"),
        pytest.param([{"name": "x"}], [], ["0"], id="without-its-key-by-index"),
    ],
)
def test_items_of_two_versions_are_matched_by_key(
    old: list[Any], new: list[Any], steps: list[str]
) -> None:
    assert [str(step) for step, _, _ in match_items(PORTS, old, new)] == steps


@pytest.mark.parametrize(
    ("path", "items", "text"),
    [
        ("spec.ports", [{"port": 80}], "spec.ports[80]"),
        ("spec.ingress[0].ports", [{"port": 80, "protocol": "TCP"}], "spec.ingress[0].ports[0]"),
        ("spec.hostAliases", [{"ip": "10.0.0.1"}], "spec.hostAliases[10.0.0.1]"),
        ("a.env", [{"name": "A"}], "a.env[A]"),
        ("a.envFrom", [{"name": "A"}], "a.envFrom[0]"),
    ],
)
def test_items_are_named_by_the_keys_of_their_list(path: str, items: Any, text: str) -> None:
    below, _ = next(walk(items, FieldPath.parse(path)))
    assert str(below) == text


def test_every_path_of_a_walk_leads_to_its_value() -> None:
    for path, value in walk(DEPLOYMENT):
        assert find_value(str(path)) == value, path


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("spec.containers[model].ports[8000/TCP]", HTTP),
        ("spec.containers[model].ports[53/TCP]", TCP),
        ("spec.containers[model].ports[53]", MISSING),
        ("spec.containers[0].args[1]", "b"),
        ("spec.containers[other]", MISSING),
        ("spec.replicas", MISSING),
        ("spec.containers[model].args[2]", MISSING),
    ],
)
def test_path_leads_to_its_value_or_to_none(text: str, value: Any) -> None:
    assert find_value(text) == value


def test_resolve_and_name_path_are_inverse() -> None:
    for path, _ in walk(DEPLOYMENT):
        concrete = resolve(DEPLOYMENT, path)
        assert concrete is not None
        assert name_path(concrete, DEPLOYMENT) == path


def test_name_path_prefers_the_newest_version_that_has_the_item() -> None:
    old, new = {"env": [{"name": "A"}, {"name": "B"}]}, {"env": [{"name": "C"}]}
    assert str(name_path(("env", 0), old, new)) == "env[C]"
    assert str(name_path(("env", 1), old, new)) == "env[B]"


@pytest.mark.parametrize("list_keys", LIST_KEYS.values(), ids=LIST_KEYS)
def test_keys_are_sorted_as_in_managed_fields(list_keys: tuple[str, ...]) -> None:
    # kube/owned_paths.py compares them with `k:{"containerPort":53,"protocol":"UDP"}`.
    assert list(list_keys) == sorted(list_keys)
