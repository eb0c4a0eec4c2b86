"""Checks the shape of JSON from state files: which fields exist, and of which type they are.

Fields that the engines do not read are not checked, since a newer CLI may write more of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from framework.engines.urns import OBJECT_PREFIX, is_urn

_TYPE_NAMES = {dict: "a mapping", list: "a list", str: "text", bool: "true or false"}
# The types of a resource's optional fields. null means the same as a missing field.
_RESOURCE_FIELDS = {
    "id": str,
    "parent": str,
    "deletedWith": str,
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
    """JSON does not have the expected shape; the message has the path and the expected type."""


def parse_json(text: str) -> Any:
    """Returns the value of a JSON text. ShapeError, with the reason alone, for anything else."""
    try:
        return msgspec.json.decode(text)
    except RecursionError as exc:
        raise ShapeError("it is nested too deeply") from exc
    except ValueError as exc:
        raise ShapeError(str(exc)) from exc


def check_type(value: Any, type_: type, path: str) -> None:
    """Raises ShapeError where a value is not of the type, one of dict, list, str and bool."""
    if not isinstance(value, type_):
        raise ShapeError(f"{path} is {describe_type(value)}; expected {_TYPE_NAMES[type_]}")


def describe_type(value: Any) -> str:
    """Returns the type of a JSON value in words."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    return _TYPE_NAMES.get(type(value), "a number")


def check_field(mapping: Mapping[str, Any], name: str, type_: type, path: str) -> None:
    """Raises ShapeError where a field is missing or of another type."""
    if mapping.get(name) is None:
        raise ShapeError(f"{path}.{name} is missing")
    check_type(mapping[name], type_, f"{path}.{name}")


def check_optional(mapping: Mapping[str, Any], name: str, type_: type, path: str) -> None:
    """Raises ShapeError where a field exists and is of another type."""
    if mapping.get(name) is not None:
        check_type(mapping[name], type_, f"{path}.{name}")


def check_urn(value: Any, path: str) -> None:
    """Raises ShapeError where a value is not a URN."""
    check_type(value, str, path)
    if not is_urn(value):
        raise ShapeError(f'{path} is not a URN; expected "urn:pulumi:<stack>::<project>::..."')


def check_resource(raw: Any, path: str) -> None:
    """Raises ShapeError where a recorded resource has a shape that the engines cannot use."""
    check_type(raw, dict, path)
    check_field(raw, "urn", str, path)
    check_urn(raw["urn"], f"{path}.urn")
    check_field(raw, "type", str, path)
    for name, type_ in _RESOURCE_FIELDS.items():
        check_optional(raw, name, type_, path)
    for name in _LISTS_OF_TEXT:
        check_optional(raw, name, list, path)
        _check_texts(raw.get(name) or (), f"{path}.{name}")
    for name, urns in (raw.get("propertyDependencies") or {}).items():
        check_optional({name: urns}, name, list, f"{path}.propertyDependencies")
        _check_texts(urns or (), f"{path}.propertyDependencies.{name}")
    if raw.get("custom") and raw["type"].startswith(OBJECT_PREFIX):
        check_field(raw, "provider", str, path)


def _check_texts(values: Any, path: str) -> None:
    for index, value in enumerate(values):
        check_type(value, str, f"{path}[{index}]")


def check_operation(raw: Any, path: str) -> None:
    """Raises ShapeError where a pending operation has a shape that the engines cannot use."""
    check_type(raw, dict, path)
    check_field(raw, "resource", dict, path)
    check_resource(raw["resource"], f"{path}.resource")
    check_field(raw, "type", str, path)
