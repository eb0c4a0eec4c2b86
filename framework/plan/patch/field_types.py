"""The fields of Kubernetes objects and their types.

Fields, types and required fields come from lightkube-models, the classes generated from the
OpenAPI document of the API server. What these classes leave out is in field_types.json, written
by `make fields` from a real server's document: the values of enumerations, which integers have 64
bits, and which mappings hold quantities.

Nothing is loaded before the first patch is checked: importing lightkube takes a quarter of a
second, and most catalogs have no patch.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_suffix(".json")

_MODULES = ("core_v1", "apps_v1", "autoscaling_v2", "networking_v1", "policy_v1", "meta_v1")
_SCALARS = {
    "str": "string",
    "bool": "boolean",
    "int": "int32",
    "Time": "string",
    "FieldsV1": "object",
}


@dataclass(frozen=True)
class FieldType:
    """The type of one field.

    `name` is one of
      - "list" or "map", with the type of their `items`
      - a definition of the API, such as "PodSpec", which has `fields`
      - a single value: string, boolean, int32, int64, Quantity, IntOrString
      - "object", which may be any mapping
    """

    name: str
    items: FieldType | None = None
    allowed: tuple[str, ...] = ()
    """Values of an enumeration."""

    @property
    def fields(self) -> Mapping[str, FieldType]:
        """The fields of a definition; empty for other types."""
        return _load_definition(self.name)[0]

    @property
    def required(self) -> tuple[str, ...]:
        """The fields that a definition requires."""
        return _load_definition(self.name)[1]

    def child(self, key: str) -> FieldType | None:
        """Returns the type of the value under `key`, None where no such field exists."""
        return self.items if self.name == "map" else self.fields.get(key)


def kubernetes_version() -> str:
    """Returns the Kubernetes version that the fields belong to: "1.37"."""
    return str(_load_additions()["kubernetes"])


@cache
def _load_additions() -> Mapping[str, Any]:
    content: Mapping[str, Any] = json.loads(FILE.read_bytes())
    return content


@cache
def _load_definition(name: str) -> tuple[Mapping[str, FieldType], tuple[str, ...]]:
    """Returns the fields of a definition and the names of those that it requires."""
    if not name[:1].isupper():
        return {}, ()
    modules = (import_module(f"lightkube.models.{module}") for module in _MODULES)
    definition = next((getattr(m, name) for m in modules if hasattr(m, name)), None)
    if definition is None:
        return {}, ()
    # A lightkube class is a msgspec.Struct: the encoded names are those of the API ("from", which
    # Python reserves, is `from_` in the class), and fields without a default come first.
    names = dict(
        zip(definition.__struct_fields__, definition.__struct_encode_fields__, strict=True)
    )
    fields = {
        encoded: _parse_annotation(definition.__annotations__[field], f"{name}.{encoded}")
        for field, encoded in names.items()
    }
    required = len(names) - len(definition.__struct_defaults__)
    return fields, tuple(fields)[:required]


def _parse_annotation(annotation: str, field: str) -> FieldType:
    """Returns the type for an annotation such as `Optional[List[ContainerPort]]`."""
    additions = _load_additions()
    text = annotation.removeprefix("Optional[").removesuffix("]" * annotation.count("Optional["))
    if text.startswith("List["):
        return FieldType("list", _parse_annotation(text[5:-1], field))
    if text == "dict":
        value = "resource.Quantity" if field in additions["quantityMaps"] else "str"
        return FieldType("map", _parse_annotation(value, field))
    if field in additions["enumerations"]:
        return FieldType("string", allowed=tuple(additions["enumerations"][field]))
    if text == "int" and field in additions["int64"]:
        return FieldType("int64")
    # What is left is a scalar or a definition, some of them with their module: "meta_v1.Time".
    name = text.rpartition(".")[2]
    return FieldType(_SCALARS.get(name, name))
