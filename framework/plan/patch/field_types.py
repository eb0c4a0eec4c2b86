"""The fields of Kubernetes objects and their types.

Fields, types and required fields come from lightkube-models, the classes generated from the
OpenAPI document of the API server. What these classes leave out is in field_types.json, written
by `make fields` from a real server's document: the values of enumerations, the keys of lists, which
integers have 64 bits, and which mappings hold quantities.

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

# The kinds whose fields are known, by apiVersion. Groups that are not here, such as
# resource.k8s.io, whose ResourceClaim is another definition than that of a container, are checked
# by the server only.
_KIND_MODULES = {
    "v1": "core_v1",
    "apps/v1": "apps_v1",
    "autoscaling/v2": "autoscaling_v2",
    "batch/v1": "batch_v1",
    "networking.k8s.io/v1": "networking_v1",
    "policy/v1": "policy_v1",
    "rbac.authorization.k8s.io/v1": "rbac_v1",
    "storage.k8s.io/v1": "storage_v1",
}
# A Job refers to definitions of scheduling.k8s.io.
_MODULES = (*_KIND_MODULES.values(), "meta_v1", "scheduling_v1alpha3")
_SCALARS = {
    "str": "string",
    "bool": "boolean",
    "int": "int32",
    "MicroTime": "Time",
    "RawExtension": "object",
    "FieldsV1": "object",
}


@dataclass(frozen=True)
class FieldType:
    """The type of one field.

    `name` is one of
      - "list" or "map", with the type of their `items`
      - a definition of the API, such as "PodSpec", which has `fields`
      - a single value: string, boolean, int32, int64, Quantity, IntOrString, Time
      - "object", which may be any mapping
    """

    name: str
    items: FieldType | None = None
    allowed: tuple[str, ...] = ()
    """Values of an enumeration."""
    keys: tuple[str, ...] = ()
    """The keys in which the items of a list differ; ("",) for a list of different values."""

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


def list_api_versions() -> tuple[str, ...]:
    """Returns the apiVersions of which every kind and field is known."""
    return tuple(_KIND_MODULES)


@cache
def list_kinds(api_version: str) -> tuple[str, ...]:
    """Returns the kinds of an apiVersion, sorted; empty for one that only the server knows."""
    name = _KIND_MODULES.get(api_version)
    if name is None:
        return ()
    definitions = vars(import_module(f"lightkube.models.{name}")).items()
    return tuple(
        sorted(
            kind
            for kind, definition in definitions
            if {"apiVersion", "kind", "metadata"} <= set(getattr(definition, "__annotations__", ()))
            and "items" not in definition.__annotations__
        )
    )


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
    # Some names are no classes: Time is text, Quantity is text or a number.
    if definition is None or not hasattr(definition, "__struct_fields__"):
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
        keys = tuple(additions["listKeys"].get(field, ()))
        return FieldType("list", _parse_annotation(text[5:-1], field), keys=keys)
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
