"""The fields of the Kubernetes kinds that a model may have, by type.

Kept apart because they are the API server's own words, in kubernetes_fields.json: `make fields`
writes the file from a real one, and nothing here says more. It is read when the first patch asks.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_suffix(".json")


@dataclass(frozen=True)
class FieldType:
    """`name` is "list" or "map" of `items`, a definition such as "PodSpec", or one value: string,
    boolean, int32, int64, Quantity, IntOrString, and object, which may be any mapping.

    `merge_key` tells apart the items of a list that a strategic merge merges; `allowed` is the
    enumeration, where the API has one.
    """

    name: str
    items: FieldType | None = None
    merge_key: str = ""
    allowed: tuple[str, ...] = ()

    @property
    def fields(self) -> Mapping[str, FieldType]:
        """A definition's fields; none where this is no definition."""
        return _definition(self.name)

    @property
    def required(self) -> tuple[str, ...]:
        """The fields that a definition needs."""
        return tuple(_load()["required"].get(self.name, ()))

    def below(self, key: str) -> FieldType | None:
        """The type of what stands under `key`; None where there is no such field."""
        return self.items if self.name == "map" else self.fields.get(key)


def kubernetes_version() -> str:
    """The version whose fields these are: "1.37"."""
    return str(_load()["kubernetes"])


@cache
def _load() -> Mapping[str, Any]:
    content: Mapping[str, Any] = json.loads(FILE.read_bytes())
    return content


@cache
def _definition(name: str) -> Mapping[str, FieldType]:
    found = _load()["definitions"].get(name, {})
    return {key: _read(node) for key, node in found.items()}


def _read(node: Any) -> FieldType:
    if isinstance(node, str):
        return FieldType(node)
    if "enum" in node:
        return FieldType("string", allowed=tuple(node["enum"]))
    if "list" in node:
        return FieldType("list", _read(node["list"]), node.get("mergeKey", ""))
    return FieldType("map", _read(node["map"]))
