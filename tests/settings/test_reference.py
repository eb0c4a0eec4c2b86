"""Every setting has a meaning, a unit and an example, and is on the reference page."""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator

from framework.cli.edit import build_files, render_generated, run_schema
from framework.settings.environment import Environment
from framework.settings.json_schema import EXAMPLES, PROFILES, UNITS, build_schemas, build_settings
from framework.settings.model import Model
from framework.settings.reference import build_rows, render_reference, render_yaml
from framework.settings.topics import COMMON, TOPICS

CLASSES = {**build_settings(Model), **build_settings(Environment)}
SCHEMA = build_schemas()["environment.schema.json"]
KEYS = [(name, key) for name, node in CLASSES.items() for key in node["properties"]]
_WITHOUT_UNIT = {"port-number", "port-name", "env-text", "variable"}

every_setting = pytest.mark.parametrize(
    ("name", "key"), [pytest.param(*key, id=".".join(key)) for key in KEYS]
)


def holds_number(node: Any) -> bool:
    """Returns True where a value, or one inside it, may be a number with a unit."""
    if not isinstance(node, dict) or node.get("format") in _WITHOUT_UNIT:
        return False
    below = [*node.get("anyOf", ()), *node.get("oneOf", ()), node.get("items")]
    below += [node.get("additionalProperties"), *node.get("patternProperties", {}).values()]
    types = [node["type"]] if isinstance(node.get("type"), str) else node.get("type", [])
    return bool({"integer", "number"} & set(types)) or any(map(holds_number, below))


@every_setting
def test_setting_has_a_description_an_example_and_a_unit(name: str, key: str) -> None:
    node = CLASSES[name]["properties"][key]
    assert node.get("description"), f"{name}.{key} has no docstring"
    assert node.get("examples"), f"{name}.{key} has no example in framework/settings/examples.yaml"
    if holds_number(node):
        assert node.get("unit"), f"{name}.{key} has no unit in framework/settings/examples.yaml"


@every_setting
def test_example_is_valid_for_its_class(name: str, key: str) -> None:
    schema = SCHEMA
    own = schema if name == "Environment" else schema["definitions"].get(name)
    properties = (own or schema["definitions"]["Layer"])["properties"]
    property_schema = {**properties[key], "definitions": schema["definitions"]}
    assert [
        error.message for error in Draft7Validator(property_schema).iter_errors(EXAMPLES[name, key])
    ] == []


def test_examples_and_units_belong_to_settings() -> None:
    assert {*EXAMPLES, *UNITS} <= set(KEYS)


def test_reference_has_every_setting() -> None:
    rows = [row for cls in (Model, Environment) for group in build_rows(cls) for row in group]
    # Of the arms of one union, the first stands for the keys they share.
    shared = {("ConfigMapValue", "key"), ("ConfigMapValue", "optional")}
    assert set(KEYS) - {row.setting for row in rows} == shared
    page = render_reference()
    assert all(f"| `{row.key}` " in page for row in rows)
    assert PROFILES["description"] in page


def test_no_row_of_the_reference_says_one_sentence_twice() -> None:
    for cls in (Model, Environment):
        for row in (row for group in build_rows(cls) for row in group):
            # "The Service of the model." and "A Service of the model." are one sentence.
            meaning = re.sub(r"\b(a|an|the) ", "", row.meaning.lower())
            sentences = meaning.removesuffix(".").split(". ")
            assert len(sentences) == len({*sentences}), row.key


def test_every_setting_has_one_topic_and_the_common_ones_come_first() -> None:
    keys = [key for topic in TOPICS for key in topic.settings]
    assert sorted(keys) == sorted({"profiles", *CLASSES["Model"]["properties"]})
    titles = [line for line in render_reference().splitlines() if line.startswith("## ")]
    assert titles[0] == "## The twenty most common settings"
    assert len(set(COMMON)) == 20


def test_tables_of_the_reference_have_equal_columns() -> None:
    sections = render_reference().split("\n## ")[1:]
    for section in sections:
        lines = [line for line in section.splitlines() if line.startswith("|")]
        assert len({line.replace("\\|", "").count("|") for line in lines}) == 1, section


@pytest.mark.parametrize(
    ("value", "text"),
    [("", '""'), ("25%", "25%"), ("1.33", "'1.33'"), (True, "true"), ({"a": [1]}, "{a: [1]}")],
)
def test_value_is_rendered_as_yaml(value: Any, text: str) -> None:
    assert render_yaml(value) == text


def test_json_keeps_short_lists_on_one_line() -> None:
    text = render_generated({"a": ["x\n", "y"], "b": [{"c": ["[", "z"]}]})
    assert '"a": [ "x\\n", "y" ],' in text
    assert json.loads(text) == {"a": ["x\n", "y"], "b": [{"c": ["[", "z"]}]}


def test_make_schema_prints_what_changed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def run() -> set[str]:
        assert run_schema(tmp_path, argparse.Namespace()) == 0
        return {line.split()[1] for line in capsys.readouterr().out.splitlines()}

    assert run() == {"new"}
    assert run() == {"same"}
    assert {path: (tmp_path / path).read_text() for path in build_files()} == build_files()
    (tmp_path / "docs/settings.md").write_text("")
    assert run() == {"same", "changed"}
