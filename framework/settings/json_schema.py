"""The JSON Schemas of the four kinds of file, for editors and other tools.

An editor checks one layer, not the merged settings. So these schemas require nothing that another
layer may give, and allow null (it removes an inherited value) and interpolations for any value.

Examples and units come from examples.yaml beside this module. `errorMessage` and
`patternErrorMessage` are read by VS Code and other editors with its language servers; other tools
ignore them.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Iterator, Mapping
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import yaml
from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema

from framework.settings.base import Settings
from framework.settings.environment import Environment
from framework.settings.model import SHARED, Model

Json = dict[str, Any]

# VS Code's YAML extension supports JSON Schema up to draft 7, and warns about newer ones.
_DRAFT = "http://json-schema.org/draft-07/schema#"
# The only setting that a model must have in its own file; profiles or defaults may give the rest.
_OWN = ("owner",)
# Mappings that hold a partial model.
PARTIAL_MODELS = {
    ("Canary", "candidate"): "Candidate",
    ("Environment", "defaults"): "Layer",
    ("Environment", "overrides"): "Layer",
}
_NOT_IN_CANDIDATES = ("canary", *SHARED)
_INTERPOLATION = r"\$\{"
_SCALARS = {"integer", "number", "string", "boolean"}
_WORDS = {
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "object": "a mapping",
    "array": "a list",
}
_TEXT_EXPECTED = 'expected text; quote it, as in "1.10" or "true"'

# Values by the name of a settings class and a key in it.
Keyed = dict[tuple[str, str], Any]


def _load_table(part: str) -> Keyed:
    text = Path(__file__).with_name("examples.yaml").read_text(encoding="utf-8")
    return {
        (name, key): value
        for name, of_class in yaml.safe_load(text)[part].items()
        for key, value in of_class.items()
    }


EXAMPLES: Keyed = _load_table("examples")
UNITS: Keyed = _load_table("units")

# `profiles` is not a setting: it is read from the model's own file before layers are merged.
PROFILES: dict[str, Any] = {
    "description": "Profiles of the model, later ones override earlier ones. Only in its own file.",
    "type": "array",
    "items": {"type": "string", "minLength": 1},
    "uniqueItems": True,
    "examples": [["mlserver", "cpu-small"]],
}


class _Generator(GenerateJsonSchema):
    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


def build_settings(settings_type: type[BaseModel]) -> dict[str, Json]:
    """Returns pydantic's schema of each class that `settings_type` refers to, by class name.

    They describe merged settings, not layers: `required` has the required keys. Each property has
    its `description` and `examples`, and `unit` where it has one.
    """
    schema = settings_type.model_json_schema(schema_generator=_Generator)
    classes: dict[str, Json] = {**schema.pop("$defs", {}), settings_type.__name__: schema}
    described = {key: text for cls in _subclasses(Settings) for key, text in _describe(cls)}
    for name, node in classes.items():
        for key, child in node["properties"].items():
            if text := described.get((name, key)):
                child["description"] = text
            if (name, key) in EXAMPLES:
                child["examples"] = [EXAMPLES[name, key]]
            if unit := unit_of(name, key):
                child["unit"] = unit
    return classes


def _subclasses(settings_type: type[Settings]) -> Iterator[type[Settings]]:
    for subclass in settings_type.__subclasses__():
        yield subclass
        yield from _subclasses(subclass)


def _describe(settings_type: type[Settings]) -> Iterator[tuple[tuple[str, str], str]]:
    """Yields the docstring below each field of a class, by class name and key."""
    for cls in reversed(settings_type.__mro__):
        if issubclass(cls, Settings):
            for name, docstring in _read_docstrings(cls).items():
                key = str(settings_type.model_fields[name].alias)
                yield (settings_type.__name__, key), docstring


@cache
def _read_docstrings(settings_type: type[Settings]) -> Mapping[str, str]:
    """Reads the docstrings below the fields that a class declares itself, by field name."""
    # pydantic's `use_attribute_docstrings` reads the sources when the classes are created. That
    # costs every command a tenth of a second, and only `schema` needs the docstrings.
    tree = ast.parse(textwrap.dedent(inspect.getsource(settings_type)))
    docstrings = {}
    for field, text in pairwise(cast(ast.ClassDef, tree.body[0]).body):
        match field, text:
            case (
                ast.AnnAssign(target=ast.Name(id=name)),
                ast.Expr(value=ast.Constant(value=str() as docstring)),
            ):
                docstrings[name] = inspect.cleandoc(docstring)
    return docstrings


def unit_of(name: str, key: str) -> str:
    """Returns the unit of a setting: from UNITS, or "seconds" for keys that end in it, else ""."""
    return str(UNITS.get((name, key), "seconds" if key.endswith("Seconds") else ""))


def class_of(node: Json) -> str:
    """Returns the name of the class that a `$ref` refers to."""
    return str(node["$ref"]).rpartition("/")[2]


def build_schemas() -> dict[str, Json]:
    """Returns the four schemas, by file name."""
    schemas = {
        "model": _LayerSchema().build(Model, "A model", "catalog/<model>.yaml", own=True),
        "profile": _LayerSchema().build(
            Model, "A profile, or the defaults of every model", "catalog/_profiles/<profile>.yaml"
        ),
        "environment": _LayerSchema().build(
            Environment, "An environment", "environments/<environment>/environment.yaml"
        ),
        "overlay": _LayerSchema().build(
            Model,
            "One model in one environment",
            "environments/<environment>/models/<model>.yaml",
        ),
    }
    # The $id is relative, so that it names a file and not a host.
    return {
        f"{kind}.schema.json": {"$schema": _DRAFT, "$id": f"{kind}.schema.json", **schema}
        for kind, schema in schemas.items()
    }


class _LayerSchema:
    """Builds the schema of one file from the schemas of pydantic. Each file needs a new object."""

    def __init__(self) -> None:
        of_model = build_settings(Model)
        self._classes = {**build_settings(Environment), **of_model}
        # Lists of a model have a mapping form; the environment's own are in one file only.
        self._formed = of_model.keys()
        self._in_model = False
        self._definitions: dict[str, Json] = {}

    def build(
        self, settings_type: type[BaseModel], title: str, path: str, *, own: bool = False
    ) -> Json:
        """Returns the schema of a file. `own` is for the model's own file, which lists profiles."""
        required = _OWN if own else ()
        first = {"profiles": PROFILES} if own else {}
        mapping = self._mapping(settings_type.__name__, required, first)
        return {
            "title": title,
            "description": f"{path}. Every setting is in docs/settings.md.",
            **mapping,
            "definitions": dict(sorted(self._definitions.items())),
        }

    def _mapping(
        self,
        name: str,
        required: tuple[str, ...] = (),
        first: Json | None = None,
        without: tuple[str, ...] = (),
    ) -> Json:
        node = self._classes[name]
        outside, self._in_model = self._in_model, name in self._formed
        properties = {
            key: self._property(name, key, child, nullable=key not in required)
            for key, child in node["properties"].items()
            if key not in without
        }
        self._in_model = outside
        mapping: Json = {"type": "object", "properties": {**(first or {}), **properties}}
        if required:
            mapping["required"] = list(required)
        return {**mapping, "additionalProperties": node.get("additionalProperties", True)}

    def _property(self, name: str, key: str, node: Json, *, nullable: bool) -> Json:
        partial = PARTIAL_MODELS.get((name, key))
        value = {"$ref": self._refer(partial)} if partial else self._value(node, nullable=nullable)
        # Draft 7 ignores all keys beside a $ref.
        beside: Json = {"allOf": [value]} if "$ref" in value else value
        described = {"description": _description(node), **beside}
        if node.get("default") not in (None, {}, []) and not isinstance(node["default"], dict):
            described["default"] = node["default"]
        if examples := [example for example in node.get("examples", ()) if reads_back(example)]:
            described["examples"] = examples
        return described

    def _refer(self, name: str) -> str:
        """Returns a reference to a class or partial model, and adds its definition once."""
        if name not in self._definitions:
            # Set first, since a class may refer to itself.
            self._definitions[name] = {}
            if name in PARTIAL_MODELS.values():
                without = _NOT_IN_CANDIDATES if name == "Candidate" else ()
                mapping = self._mapping("Model", without=without)
                # It is merged before interpolations are resolved, so it cannot be one.
                definition = {**mapping, "type": ["object", "null"]}
            else:
                description = self._classes[name]["description"]
                described = {"description": description, **self._mapping(name)}
                definition = _open_value(described, nullable=True)
            self._definitions[name] = definition
        return f"#/definitions/{name}"

    def _value(self, node: Json, *, nullable: bool = True) -> Json:
        """Returns the schema, in a layer, of a value with pydantic's schema `node`."""
        if "$ref" in node:
            return {"$ref": self._refer(class_of(node))}
        if arms := node.get("anyOf") or node.get("oneOf"):
            return self._union(arms, nullable=nullable)
        kept = {key: node[key] for key in _KEPT if key in node}
        if "items" in node:
            kept["items"] = self._item(node["items"])
        if kept.get("type") == "object":
            kept |= self._entries(node)
        opened = _open_value(kept, nullable=nullable)
        if "items" in kept and self._in_model:
            items = {key: value for key, value in kept.items() if key != "minItems"}
            replaces = {"description": "Replaces the inherited list.", **items}
            # `minItems` was removed above: a list that is empty here may have inherited items.
            appends = {"description": "Adds to the end of the inherited list.", **items}
            return _with_mapping_form(opened, {"items": replaces, "append": appends})
        if node.get("format") == "file-text":
            text = {"description": "The text of the file.", "type": "string"}
            return _with_mapping_form(opened, {"text": text})
        return opened

    def _item(self, node: Json) -> Json:
        """Returns the schema of a list item. A list is replaced whole, so each item is complete."""
        value = self._value(node, nullable=False)
        required = self._classes[class_of(node)].get("required") if "$ref" in node else None
        return {"allOf": [value], "required": required} if required else value

    def _entries(self, node: Json) -> Json:
        """Returns the rules for the keys and values of a mapping by name."""
        values = node.get("additionalProperties", True)
        names = {key: rule for key, rule in node.get("propertyNames", {}).items() if key in _KEPT}
        if patterns := node.get("patternProperties"):
            # In pydantic's schema, keys that do not match the pattern are allowed.
            ((names["pattern"], values),) = patterns.items()
        if isinstance(values, dict):
            values = self._value(values)
        entries: Json = {"propertyNames": names} if names else {}
        return {**entries, "additionalProperties": values}

    def _union(self, arms: list[Json], *, nullable: bool) -> Json:
        values = [
            self._value(arm, nullable=nullable)
            for arm in _join_scalars([arm for arm in arms if arm.get("type") != "null"])
        ]
        return values[0] if len(values) == 1 else {"anyOf": values}


def _with_mapping_form(opened: Json, keys: dict[str, Json]) -> Json:
    """Returns the schema of a list or text that may also be a mapping with these keys."""
    interpolate = {
        "description": "Set to false to keep `${name}` as it is written.",
        "type": "boolean",
    }
    types = [*_types(opened), "object"]
    properties = {**keys, "interpolate": interpolate}
    return {**opened, "type": types, "properties": properties, "additionalProperties": False}


# The keywords of pydantic's schema that also apply to the values of one layer.
_KEPT = (
    "type", "enum", "const", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum",
    "pattern", "patternErrorMessage", "minLength", "maxLength", "minItems", "maxItems",
    "uniqueItems",
)  # fmt: skip


def _description(node: Json) -> str:
    text = " ".join(node.get("description", "").split())
    unit = node.get("unit", "")
    return text if unit.lower() in text.lower() else f"{text} Unit: {unit}."


def _join_scalars(arms: list[Json]) -> list[Json]:
    """Joins arms that are scalars of different types, so that editors offer better completion."""
    joined: Json = {}
    rest = []
    for arm in arms:
        types = _types(arm)
        plain = types and _SCALARS.issuperset(types) and not {"enum", "const"} & arm.keys()
        if plain and not set(types) & set(_types(joined)):
            joined = {**joined, **arm, "type": [*_types(joined), *types]}
        else:
            rest.append(arm)
    return [joined, *rest] if joined else rest


def _open_value(node: Json, *, nullable: bool) -> Json:
    """Returns a schema that also allows an interpolation, and null where `nullable`."""
    types = _types(node)
    null = ["null"] if nullable else []
    if not types:
        return node
    described = {**node, **_messages(node, types)}
    if {"enum", "const", "maxLength"} & node.keys():
        return {"anyOf": [described, {"type": ["string", *null], "pattern": _INTERPOLATION}]}
    opened_types = list(dict.fromkeys([*types, "string", *null]))
    opened = {**described, "type": opened_types if len(opened_types) > 1 else opened_types[0]}
    if "string" not in types:
        opened["pattern"] = _INTERPOLATION
    elif "pattern" in node:
        # JSON Schema does not anchor patterns, so the second arm finds an interpolation anywhere.
        opened["pattern"] = f"{node['pattern']}|{_INTERPOLATION}"
    return opened


def _types(node: Json) -> list[str]:
    types = node.get("type", [])
    return [types] if isinstance(types, str) else list(types)


def _messages(node: Json, types: list[str]) -> Json:
    """Returns the message for a value of the wrong type or form.

    Without it, editors would show the pattern that allows interpolations. For a mapping or list it
    is a `patternErrorMessage`, because `errorMessage` would also replace the messages about its
    keys and items.
    """
    form = node.get("patternErrorMessage")
    if {"enum", "const"} & node.keys():
        return {}
    if types == ["string"]:
        return {"errorMessage": _TEXT_EXPECTED}
    expected = form or f"expected {' or '.join(_WORDS.get(name, 'text') for name in types)}"
    scalar = _SCALARS.issuperset(types)
    return {"errorMessage" if scalar else "patternErrorMessage": expected}


def reads_back(example: Any) -> bool:
    """Returns True where an editor that completes with `example` writes the same value.

    VS Code does not quote texts inside a mapping or list, replaces `${...}` with variables of its
    own, and cannot write a mapping in a list.
    """
    match example:
        case dict():
            return all(map(reads_back, example.values()))
        case list():
            return all(reads_back(item) and not isinstance(item, dict | list) for item in example)
        case str():
            return "${" not in example and bool(yaml.safe_load(example) == example)
    return True
