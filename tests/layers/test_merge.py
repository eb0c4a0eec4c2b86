"""The merge against plain OmegaConf and against a naive merge written here; origins; isolation."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from framework.core.diagnostics import KeyPath, Position
from framework.files.document import Document
from framework.layers import Layer, LayerStack
from framework.layers.references import escape

_KEYS = st.sampled_from(["a", "b", "nvidia.com/gpu", "d e"])
_SCALARS = st.one_of(
    st.integers(-5, 5),
    st.booleans(),
    st.sampled_from(["x", "25%", "", "a.b", "\\d", "$x", "${who}", "v-${who}"]),
)
_MAPPINGS = st.recursive(
    st.dictionaries(_KEYS, st.one_of(_SCALARS, st.none()), max_size=3),
    lambda below: st.dictionaries(
        _KEYS, st.one_of(_SCALARS, st.none(), below, st.lists(_SCALARS, max_size=2)), max_size=3
    ),
    max_leaves=12,
)
_CONTEXT = {"who": "me"}
_STACKS = st.lists(_MAPPINGS, min_size=1, max_size=5)


def _items(value: Any) -> Iterable[tuple[str | int, Any]]:
    if isinstance(value, dict):
        return value.items()
    return enumerate(value) if isinstance(value, list) else ()


def _positions(path: str, value: Any, at: KeyPath, found: dict[KeyPath, Position]) -> None:
    found[at] = Position(path, len(found) + 1, 1)
    for key, child in _items(value):
        _positions(path, child, (*at, key), found)


def _layer(index: int, data: dict[str, Any]) -> Layer:
    found: dict[KeyPath, Position] = {}
    _positions(f"{index}.yaml", data, (), found)
    return Layer(Document(f"{index}.yaml", data, found, found))


def _fits(old: Any, new: Any) -> bool:
    """Returns True where mappings meet only mappings or null, and no list an interpolation."""
    if old is None or new is None:
        return True
    if isinstance(old, dict) and isinstance(new, dict):
        return all(_fits(old.get(key), value) for key, value in new.items())
    if isinstance(old, str) and "${" in old and isinstance(new, list):
        return False
    return not isinstance(old, dict) and not isinstance(new, dict)


def _lay(old: Any, new: Any) -> Any:
    if isinstance(old, dict) and isinstance(new, dict):
        return {**old, **{key: _lay(old.get(key), value) for key, value in new.items()}}
    return copy.deepcopy(new)


def _resolved(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _resolved(child) for key, child in value.items() if child is not None}
    if isinstance(value, list):
        return [_resolved(child) for child in value]
    return value.replace("${who}", "me") if isinstance(value, str) else value


def _merge_fitting(stack: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], Any]:
    """Returns the layers that can override each other, and their naive merge."""
    kept: list[dict[str, Any]] = []
    naive: Any = {}
    for data in stack:
        if _fits(naive, data):
            kept.append(data)
            naive = _lay(naive, data)
    return kept, naive


@given(_STACKS)
def test_merge_equals_a_naive_merge_and_plain_omegaconf(stack: list[dict[str, Any]]) -> None:
    kept, naive = _merge_fitting(stack)
    layers = [_layer(index, data) for index, data in enumerate(kept)]
    merged = LayerStack().add(*layers).resolve(_CONTEXT)
    plain = OmegaConf.to_container(OmegaConf.merge(*kept, _CONTEXT), resolve=True)
    assert isinstance(plain, dict)
    assert plain.pop("who") == "me"
    assert merged.diagnostics == ()
    assert merged.data == _resolved(naive) == _resolved(plain)


def _last_setters(kept: list[dict[str, Any]]) -> dict[KeyPath, int]:
    """Returns the last layer that sets each path of the naive merge."""
    owners: dict[KeyPath, int] = {}

    def visit(value: Any, path: KeyPath, index: int) -> None:
        if not isinstance(value, dict):
            for stale in [other for other in owners if other[: len(path)] == path]:
                del owners[stale]
        if path:
            owners[path] = index
        for key, child in _items(value):
            visit(child, (*path, key), index)

    for index, data in enumerate(kept):
        visit(data, (), index)
    return owners


def _paths(value: Any, path: KeyPath = ()) -> set[KeyPath]:
    found: set[KeyPath] = {path} if path else set()
    return found.union(*(_paths(child, (*path, key)) for key, child in _items(value)))


@given(_STACKS)
def test_exactly_the_paths_of_the_result_have_an_origin(
    stack: list[dict[str, Any]],
) -> None:
    kept, _ = _merge_fitting(stack)
    layers = [_layer(index, data) for index, data in enumerate(kept)]
    merged = LayerStack().add(*layers).resolve(_CONTEXT)
    expected = _last_setters(kept)
    assert set(merged.origins) == _paths(merged.data)
    for path, positions in merged.origins.items():
        owner = expected[path]
        assert positions[-1] == layers[owner].document.value_positions[path]
        assert [position.path for position in positions] == sorted(
            {position.path for position in positions}
        )


@given(_STACKS, st.lists(_MAPPINGS, min_size=2, max_size=3))
def test_models_on_a_shared_stack_do_not_affect_each_other(
    shared: list[dict[str, Any]], own: list[dict[str, Any]]
) -> None:
    kept, naive = _merge_fitting(shared)
    base = LayerStack().add(*(_layer(index, data) for index, data in enumerate(kept)))
    models = [
        {**data, "name": name, "at": "${name}"} for name, data in zip("xyz", own, strict=False)
    ]
    fitting = [data for data in models if _fits(naive, data)]
    results = [base.add(_layer(9, data)).resolve(_CONTEXT).data for data in fitting]
    for data, result in zip(fitting, results, strict=True):
        expected = _resolved(_lay(naive, data))
        assert result == {**expected, "at": data["name"]}
    before = copy.deepcopy(results[1:])
    if results:
        results[0].clear()
    assert results[1:] == before
    assert base.resolve(_CONTEXT).data == _resolved(naive)


@given(st.text(alphabet="\\${}:a. ?", max_size=8).filter(lambda text: text.strip("\\") != "???"))
def test_escaped_text_resolves_to_itself(text: str) -> None:
    config = OmegaConf.create({"a": escape(text), "b": "${a}"})
    assert OmegaConf.to_container(config, resolve=True) == {"a": text, "b": text}


@given(_MAPPINGS, st.lists(_MAPPINGS, min_size=2, max_size=3))
def test_layer_shared_by_models_is_not_changed_by_a_merge(
    shared: dict[str, Any], own: list[dict[str, Any]]
) -> None:
    top = {**shared, "t": {"l": ["${name}", {"x": "${name}"}], "m": {"y": "${name}"}}}
    layer = _layer(9, top)
    for _ in range(2):
        for name, data in zip("xyz", own, strict=False):
            model = {**data, "t": {"l": [0], "m": {"z": 1}}}
            if not _fits(model, top):
                continue
            below = LayerStack().add(_layer(0, model))
            result = below.add(layer).resolve({**_CONTEXT, "name": name}).data
            got = {"l": [name, {"x": name}], "m": {"y": name, "z": 1}}
            assert result == {**_resolved(_lay(model, top)), "t": got}
