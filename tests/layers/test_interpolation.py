"""Interpolations, the refused ones, and shapes that cannot override each other."""

from __future__ import annotations

from typing import Any

import pytest

from framework.files.document import parse_document
from framework.layers import Layer, LayerStack, Merged

_CONTEXT = {
    "name": "m",
    "environment": {"name": "prod", "literal": "${HOME} and \\d"},
    "stack": {"name": "prod-eu"},
}


def _merge(*texts: str) -> Merged:
    layers = []
    for index, text in enumerate(texts):
        document, diagnostics = parse_document(f"{index}.yaml", text)
        assert not diagnostics
        layers.append(Layer(document))
    return LayerStack().add(*layers).resolve(_CONTEXT)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: ${name}", "m"),
        ("a: ${environment.name}/${stack.name}", "prod/prod-eu"),
        ("b: 3\na: ${b}", 3),
        ("b: 3\na: v${b}", "v3"),
        ("b: true\nc: ${b}\na: '--x=${c} --y=${d}'\nd: false", "--x=true --y=false"),
        ("b: 1.10\nc: ${b}\na: v${c}-${b}", "v1.10-1.10"),
        ("b: {c: [1]}\na: ${b}", {"c": [1]}),
        ("b: {c: [1, 2]}\na: ${b.c[1]}", 2),
        ("a: {b: 1, c: '${.b}'}", {"b": 1, "c": 1}),
        ("a: \\${HOME}", "${HOME}"),
        ("a: \\${PORT:-80} on ${name}", "${PORT:-80} on m"),
        ("b: \\${HOME}\na: ${b}", "${HOME}"),
        ("a: ${environment.literal}", "${HOME} and \\d"),
        ("a: $(POD_IP)", "$(POD_IP)"),
        ("a: ['${name}', {b: '${name}-x'}]", ["m", {"b": "m-x"}]),
        ("a: ${oc.select:nothing,5}", 5),
        ("b: name\na: ${${b}}", "m"),
        ("resources: {nvidia.com/gpu: 1}\na: ${resources[nvidia\\.com/gpu]}", 1),
    ],
)
def test_interpolation_resolves_once(text: str, value: Any) -> None:
    merged = _merge(text)
    assert merged.diagnostics == ()
    assert merged.data["a"] == value
    assert not merged.data.keys() & _CONTEXT.keys()


@pytest.mark.parametrize("low", ["${b}", "${gone}", "x-${gone}", "${oc.select:x,${gone}}"])
def test_single_value_overrides_an_interpolation_without_value(low: str) -> None:
    merged = _merge(f"a: '{low}'\nb: '${{a}}'", "a: 1")
    assert merged.diagnostics == ()
    assert merged.data == {"a": 1, "b": 1}


def test_interpolation_reads_the_merged_result() -> None:
    merged = _merge("image: {tag: v1}\nlabel: ${image.tag}", "image: {tag: v2}")
    assert merged.data["label"] == "v2"


def test_origin_of_an_interpolated_mapping_is_the_interpolation() -> None:
    merged = _merge("b: {c: [1]}\na: ${b}\n")
    assert merged.origins["a", "c", 0] == merged.origins["a",]


@pytest.mark.parametrize(
    ("texts", "position", "message"),
    [
        (["x: 1\na: ${imgae.tag}", "image: {tag: v}"], "0.yaml:2:4",
         'a refers to "imgae.tag", which has no value here; did you mean "image.tag"?'),
        (["resources: {nvidia.com/gpu: 1}\na: ${resources.nvidia.com/gpu}"], "0.yaml:2:4",
         r"whose key contains a dot; did you mean ${resources[nvidia\.com/gpu]}?"),
        (["a: ${enviroment.name}"], "0.yaml:1:4", 'did you mean "environment.name"?'),
        (["a: ${HOME}"], "0.yaml:1:4", r"write \${ for a literal ${"),
        (["a: {b: 1}", "a: {b: null}\nc: r:${a.b}"], "1.yaml:2:4", '"a.b", which has no value'),
        (["a: ${a}"], "0.yaml:1:4", "a refers to itself through ${a}"),
        (["a: ${oc.env:HOME}"], "0.yaml:1:4", 'calls the resolver "oc.env", which is refused'),
        (["a: ['${oc.decode:x}']"], "0.yaml:1:5", 'calls the resolver "oc.decode"'),
        (["a: ${PORT:-80}"], "0.yaml:1:4", 'calls the resolver "PORT"'),
        (["b: env\na: '${oc.${b}:HOME}'"], "0.yaml:2:4", "which is refused"),
        (["a: '${oc.select:x,${oc.env:HOME}}'"], "0.yaml:1:4", 'calls the resolver "oc.env"'),
        (["a: ${b"], "0.yaml:1:4", "is not a complete interpolation"),
        (["a: ${}"], "0.yaml:1:4", "is not a complete interpolation"),
        (["b: {c: 1}\na: x-${b}"], "0.yaml:2:4", "inside a text, and that is a mapping"),
        (["a: ${b}\nb: {c: 1}", "a: {c: 2}"], "1.yaml:1:4",
         "a is a mapping, but overrides an interpolation at 0.yaml:1:4"),
        (["a: ${b}\nb: {c: 1}", "a: [2]"], "1.yaml:1:4",
         "a is a list, but overrides an interpolation at 0.yaml:1:4"),
        (["a: {b: 1}", "a: [1]"], "1.yaml:1:4",
         "a is a list, but overrides a mapping at 0.yaml:1:4"),
        (["a: {b: 1}", "a: 1"], "1.yaml:1:4", "a is a single value, but overrides a mapping"),
        (["a: [1]", "a: {b: 1}"], "1.yaml:1:4", "a is a mapping, but overrides a list"),
        (["a: 1", "x: 0\na:\n  b: 1"], "1.yaml:3:3", "is a mapping, but overrides a single value"),
        (["a: {b: 1}", "a: ${c}\nc: {}"], "1.yaml:1:4", "a is an interpolation, but overrides"),
    ],
)  # fmt: skip
def test_error_is_reported_once_at_its_position(
    texts: list[str], position: str, message: str
) -> None:
    diagnostics = [
        f"{diagnostic.position}: {diagnostic.message}" for diagnostic in _merge(*texts).diagnostics
    ]
    assert len(diagnostics) == 1
    assert diagnostics[0].startswith(f"{position}: ")
    assert message in diagnostics[0]


def test_circle_is_reported_at_each_of_its_parts_and_nowhere_else() -> None:
    merged = _merge("a: ${b}\nb: ${c}\nc: x${a}\nd: ${a}\ne: 1")
    assert [diagnostic.line for diagnostic in merged.diagnostics] == [1, 2, 3]
    assert merged.data == {"e": 1}


def test_failed_interpolation_is_reported_only_at_its_cause() -> None:
    merged = _merge("a: ${gone}\nb: ${a}\nc: ${b}\nd: {e: '${name}'}")
    assert [(diagnostic.line, diagnostic.column) for diagnostic in merged.diagnostics] == [(1, 4)]
    assert merged.data == {"d": {"e": "m"}}
    assert {("a",), ("b",), ("c",)} <= merged.broken


def test_null_removes_a_key_and_a_later_layer_can_set_it_again() -> None:
    merged = _merge("a: {b: 1, c: 2}\nd: 1", "a: {b: null}\nd: null", "d: 2", "a: {b: {x: 1}}")
    assert merged.data == {"a": {"b": {"x": 1}, "c": 2}, "d": 2}
    assert [str(position) for position in merged.origins["d",]] == [
        "0.yaml:2:4",
        "1.yaml:2:4",
        "2.yaml:1:4",
    ]


@pytest.mark.parametrize(
    ("text", "position"),
    [
        ("a: |\n  first\n  run \\${gone} ${gone}\n", "0.yaml:3:16"),
        ("a: >-\n  first\n\n  then ${gone}\n", "0.yaml:4:8"),
        ('a: "first\n  then ${gone}"\n', "0.yaml:2:8"),
        ("a: |\n  first\n  ${X:-1}\n", "0.yaml:3:3"),
        ("b:\n- a\n- |\n    x\n    y ${gone}\n", "0.yaml:5:7"),
    ],
)
def test_diagnostic_in_a_block_text_points_at_its_own_line(text: str, position: str) -> None:
    (diagnostic,) = _merge(text).diagnostics
    assert diagnostic.position == position
