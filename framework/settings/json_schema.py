"""The JSON Schemas of the four kinds of file, for editors and other tools.

Kept apart from validation, which sees merged settings: an editor sees one layer of them. So in
these schemas nothing is required that another layer may give, null removes what is inherited, and
an interpolation may stand for any value.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Iterator
from itertools import pairwise
from typing import Any, cast

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema

from framework.settings.base import Settings
from framework.settings.environment import Environment
from framework.settings.examples import EXAMPLES, PROFILES, UNITS
from framework.settings.layer_values import join_scalars, open_value, reads_back
from framework.settings.model import SHARED, Model

Json = dict[str, Any]

# VS Code's YAML extension reads "JSON Schema 7 and below"; it warns of 2020-12.
_DRAFT = "http://json-schema.org/draft-07/schema#"
# What a model must say itself; everything else may come from a profile or a default.
_OWN = ("owner",)
# Mappings that hold a partial model.
PARTIAL_MODELS = {
    ("Canary", "candidate"): "Candidate",
    ("Environment", "defaults"): "Layer",
    ("Environment", "overrides"): "Layer",
}
_NOT_IN_CANDIDATES = ("canary", *SHARED)


class _Generator(GenerateJsonSchema):
    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


def build_settings(settings_type: type[BaseModel]) -> dict[str, Json]:
    """Pydantic's schema of each class reached from `settings_type`, by the class's name.

    Whole settings, not layers: required keys are `required`. Each property has its `description`
    and its `examples`, and its `unit` where it has one.
    """
    schema = settings_type.model_json_schema(schema_generator=_Generator)
    classes: dict[str, Json] = {**schema.pop("$defs", {}), settings_type.__name__: schema}
    described = {name: texts for one in _subclasses(Settings) for name, texts in _describe(one)}
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
    for one in settings_type.__subclasses__():
        yield one
        yield from _subclasses(one)


def _describe(settings_type: type[Settings]) -> Iterator[tuple[tuple[str, str], str]]:
    """The docstring below each field of a class, by the class's name and the field's key."""
    # Pydantic can do this too, but only for every class as it is made: a tenth of a second for
    # every command, of which this one alone needs it.
    declaring = [one for one in reversed(settings_type.__mro__) if issubclass(one, Settings)]
    for tree in (ast.parse(textwrap.dedent(inspect.getsource(one))) for one in declaring):
        for field, text in pairwise(cast(ast.ClassDef, tree.body[0]).body):
            match field, text:
                case (
                    ast.AnnAssign(target=ast.Name(id=name)),
                    ast.Expr(value=ast.Constant(value=str() as found)),
                ):
                    key = str(settings_type.model_fields[name].alias)
                    yield (settings_type.__name__, key), inspect.cleandoc(found)


def unit_of(name: str, key: str) -> str:
    """The unit of a setting: that of UNITS, "seconds" for keys that end so, else ""."""
    return str(UNITS.get((name, key), "seconds" if key.endswith("Seconds") else ""))


def class_of(node: Json) -> str:
    """The name of the class that a `$ref` leads to."""
    return str(node["$ref"]).rpartition("/")[2]


def build_schemas() -> dict[str, Json]:
    """The four schemas, by file name."""
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
    # A relative $id names the file and no host.
    return {
        f"{kind}.schema.json": {"$schema": _DRAFT, "$id": f"{kind}.schema.json", **schema}
        for kind, schema in schemas.items()
    }


class _LayerSchema:
    """One file's schema, made from pydantic's; `definitions` grows with every class referred to."""

    def __init__(self) -> None:
        self._classes = {**build_settings(Model), **build_settings(Environment)}
        self._definitions: dict[str, Json] = {}

    def build(
        self, settings_type: type[BaseModel], title: str, path: str, *, own: bool = False
    ) -> Json:
        """The schema of a file. `own` is the model's own, which names its profiles."""
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
        properties = {
            key: self._property(name, key, child, nullable=key not in required)
            for key, child in node["properties"].items()
            if key not in without
        }
        mapping: Json = {"type": "object", "properties": {**(first or {}), **properties}}
        if required:
            mapping["required"] = list(required)
        return {**mapping, "additionalProperties": node.get("additionalProperties", True)}

    def _property(self, name: str, key: str, node: Json, *, nullable: bool) -> Json:
        partial = PARTIAL_MODELS.get((name, key))
        value = {"$ref": self._refer(partial)} if partial else self._value(node, nullable=nullable)
        # Draft-07 ignores what stands beside a $ref.
        beside: Json = {"allOf": [value]} if "$ref" in value else value
        described = {"description": _description(node), **beside}
        if node.get("default") not in (None, {}, []) and not isinstance(node["default"], dict):
            described["default"] = node["default"]
        if examples := [one for one in node.get("examples", ()) if reads_back(one)]:
            described["examples"] = examples
        return described

    def _refer(self, name: str) -> str:
        """The reference to a class, or to a partial model; defines it where it is not yet."""
        if name not in self._definitions:
            self._definitions[name] = {}
            self._definitions[name] = self._open(name)
        return f"#/definitions/{name}"

    def _open(self, name: str) -> Json:
        # Partial models are layers, which are laid before any interpolation is resolved.
        if name in PARTIAL_MODELS.values():
            return {**self._define(name), "type": ["object", "null"]}
        return open_value(self._define(name), nullable=True)

    def _define(self, name: str) -> Json:
        if name == "Candidate":
            return self._mapping("Model", without=_NOT_IN_CANDIDATES)
        if name == "Layer":
            return self._mapping("Model")
        return {"description": self._classes[name]["description"], **self._mapping(name)}

    def _value(self, node: Json, *, nullable: bool = True) -> Json:
        """What may stand for a value of pydantic's schema `node` in a layer."""
        if "$ref" in node:
            return {"$ref": self._refer(class_of(node))}
        if arms := node.get("anyOf") or node.get("oneOf"):
            return self._union(arms, nullable=nullable)
        kept = {key: node[key] for key in _KEPT if key in node}
        if "items" in node:
            kept["items"] = self._item(node["items"])
        if kept.get("type") == "object":
            kept |= self._entries(node)
        return open_value(kept, nullable=nullable)

    def _item(self, node: Json) -> Json:
        """What may stand in a list; lists are replaced whole, so no other layer completes it."""
        value = self._value(node, nullable=False)
        required = self._classes[class_of(node)].get("required") if "$ref" in node else None
        return {"allOf": [value], "required": required} if required else value

    def _entries(self, node: Json) -> Json:
        """The keys and values of a mapping by name."""
        values = node.get("additionalProperties", True)
        names = {key: rule for key, rule in node.get("propertyNames", {}).items() if key in _KEPT}
        if patterns := node.get("patternProperties"):
            # Pydantic lets any other key pass.
            ((names["pattern"], values),) = patterns.items()
        if isinstance(values, dict):
            values = self._value(values)
        entries: Json = {"propertyNames": names} if names else {}
        return {**entries, "additionalProperties": values}

    def _union(self, arms: list[Json], *, nullable: bool) -> Json:
        values = [
            self._value(arm, nullable=nullable)
            for arm in join_scalars([arm for arm in arms if arm.get("type") != "null"])
        ]
        return values[0] if len(values) == 1 else {"anyOf": values}


_KEPT = (
    "type", "enum", "const", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum",
    "pattern", "patternErrorMessage", "minLength", "maxLength", "minItems", "maxItems",
    "uniqueItems",
)  # fmt: skip


def _description(node: Json) -> str:
    text = " ".join(node.get("description", "").split())
    unit = node.get("unit", "")
    return text if unit.lower() in text.lower() else f"{text} Unit: {unit}."
