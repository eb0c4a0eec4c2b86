"""Pulumi's property paths, and inputs with ignored paths."""

from __future__ import annotations

from typing import Any

import pytest

from framework.core.errors import EngineError
from framework.kube.property_path import parse_path, with_ignored, without_ignored


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("spec.replicas", ("spec", "replicas")),
        ('metadata.annotations["a.b/c"]', ("metadata", "annotations", "a.b/c")),
        ("spec.containers[0].image", ("spec", "containers", 0, "image")),
        ("spec.containers[*].image", ("spec", "containers", "*", "image")),
        ('["spec"]["a\\"b"]', ("spec", 'a"b')),
        ("data.*", ("data", "*")),
    ],
)
def test_valid_path_is_parsed_into_its_steps(text: str, steps: tuple[Any, ...]) -> None:
    assert parse_path(text) == steps


@pytest.mark.parametrize("text", ["spec[", "spec[x]", 'a["b'])
def test_invalid_path_is_reported_with_its_character(text: str) -> None:
    with pytest.raises(EngineError, match="at character"):
        parse_path(text)


@pytest.mark.parametrize(
    ("old", "new", "path", "kept"),
    [
        pytest.param({"a": {"b": 1}}, {"a": {"b": 2}}, "a.b", {"a": {"b": 1}}, id="old-value"),
        pytest.param({"a": {}}, {"a": {"b": 2}}, "a.b", {"a": {}}, id="added-is-dropped"),
        pytest.param({"a": {"b": 1}}, {}, "a.b", {"a": {"b": 1}}, id="removed-comes-back"),
        pytest.param(
            {"l": [{"i": 1}, {"i": 2}]},
            {"l": [{"i": 3}, {"i": 4}]},
            "l[1].i",
            {"l": [{"i": 3}, {"i": 2}]},
            id="index",
        ),
        pytest.param(
            {"l": [{"i": 1}, {"i": 2}]},
            {"l": [{"i": 3}, {"i": 4}]},
            "l[*].i",
            {"l": [{"i": 1}, {"i": 2}]},
            id="every-item",
        ),
    ],
)
def test_ignored_path_keeps_the_value_of_the_old_inputs(
    old: Any, new: Any, path: str, kept: Any
) -> None:
    assert with_ignored(new, old, [path]) == kept


def test_all_ignored_items_are_removed() -> None:
    shape = {"l": list(range(12)), "kept": 1}
    assert without_ignored(shape, {}, ["l[*]"]) == {"l": [], "kept": 1}
    assert without_ignored(shape, {}, ["l[1]", "l[10]", "l[2]"])["l"] == [
        0,
        3,
        4,
        5,
        6,
        7,
        8,
        9,
        11,
    ]
    assert shape["l"] == list(range(12))


def test_star_also_matches_what_only_the_live_object_has() -> None:
    shape = {"data": {"a": 1}}
    assert without_ignored(shape, {"data": {"b": 2}}, ["data.*"]) == {"data": {}}
