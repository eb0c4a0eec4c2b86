"""Checks the shape of JSON from state files: which fields there are, and of which type.

Kept apart from the checkpoint and the journal, which hold the same resources and operations.
Fields that this engine does not read are not checked, since the CLI may write more than it knows.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from framework.engines.urns import OBJECT_PREFIX, is_urn

_NAMES = {dict: "a mapping", list: "a list", str: "text", bool: "true or false"}
# What each field of a resource may be; null and absent mean the same.
_RESOURCE = {
    "id": str,
    "parent": str,
    "provider": str,
    "custom": bool,
    "protect": bool,
    "delete": bool,
    "retainOnDelete": bool,
    "inputs": dict,
    "outputs": dict,
    "customTimeouts": dict,
    "propertyDependencies": dict,
}
_LISTS_OF_TEXT = ("dependencies", "initErrors", "ignoreChanges", "additionalSecretOutputs")


class ShapeError(ValueError):
    """JSON of another shape than expected; the message says where and what is expected."""


def parse_json(text: str) -> Any:
    """Returns the value of a JSON text. ShapeError, which says only why, where it is not JSON."""
    try:
        return json.loads(text)
    except RecursionError as exc:
        raise ShapeError("it is nested too deeply") from exc
    except ValueError as exc:
        raise ShapeError(str(exc)) from exc


def check_type(value: Any, kind: type, where: str) -> None:
    """ShapeError where a value is not a `dict`, `list`, `str` or `bool` as asked."""
    if not isinstance(value, kind):
        raise ShapeError(f"{where} is {name_type(value)}; expected {_NAMES[kind]}")


def name_type(value: Any) -> str:
    """Returns the type of a JSON value in words."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    return _NAMES.get(type(value), "a number")


def check_field(mapping: Mapping[str, Any], name: str, kind: type, where: str) -> None:
    """ShapeError where a field is missing or of another type."""
    if mapping.get(name) is None:
        raise ShapeError(f"{where}.{name} is missing")
    check_type(mapping[name], kind, f"{where}.{name}")


def check_optional(mapping: Mapping[str, Any], name: str, kind: type, where: str) -> None:
    """ShapeError where a field is there and of another type."""
    if mapping.get(name) is not None:
        check_type(mapping[name], kind, f"{where}.{name}")


def check_urn(value: Any, where: str) -> None:
    """ShapeError where a value is not a URN."""
    check_type(value, str, where)
    if not is_urn(value):
        raise ShapeError(f'{where} is not a URN; expected "urn:pulumi:<stack>::<project>::..."')


def check_resource(raw: Any, where: str) -> None:
    """ShapeError where a resource has a shape that this engine cannot work with."""
    check_type(raw, dict, where)
    check_field(raw, "urn", str, where)
    check_urn(raw["urn"], f"{where}.urn")
    check_field(raw, "type", str, where)
    for name, kind in _RESOURCE.items():
        check_optional(raw, name, kind, where)
    for name in _LISTS_OF_TEXT:
        check_optional(raw, name, list, where)
        _check_texts(raw.get(name) or (), f"{where}.{name}")
    for name, urns in (raw.get("propertyDependencies") or {}).items():
        position = f"{where}.propertyDependencies.{name}"
        check_optional({name: urns}, name, list, f"{where}.propertyDependencies")
        _check_texts(urns or (), position)
    if raw.get("custom") and raw["type"].startswith(OBJECT_PREFIX):
        check_field(raw, "provider", str, where)


def _check_texts(values: Any, where: str) -> None:
    for index, value in enumerate(values):
        check_type(value, str, f"{where}[{index}]")


def check_operation(raw: Any, where: str) -> None:
    """ShapeError where a pending operation has a shape that this engine cannot work with."""
    check_type(raw, dict, where)
    check_field(raw, "resource", dict, where)
    check_resource(raw["resource"], f"{where}.resource")
    check_field(raw, "type", str, where)
