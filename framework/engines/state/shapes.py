"""The shapes of JSON in state files: which fields exist, and of which type they are.

Fields that the engines do not read are not checked, since a newer CLI may write more of them.
"""

from __future__ import annotations

import re
from typing import Annotated, Any

import msgspec

from framework.engines.urns import OBJECT_PREFIX

_TYPE_NAMES = {
    "object": "a mapping",
    "array": "a list",
    "str": "text",
    "bool": "true or false",
    "int": "a number",
    "float": "a number",
    "null": "null",
}
# The messages of msgspec, which has no other form of its errors.
_PLACE = re.compile(r"(.*?)(?: - at `\$(.*)`)?", re.DOTALL)
_MISSING = re.compile(r"Object missing required field `(.*)`")
_WRONG_TYPE = re.compile(r"Expected `(\w+)(?: \| null)?`, got `(\w+)`")

Urn = Annotated[str, msgspec.Meta(pattern=r"(?s)^urn:pulumi:.*::.*::.*::")]


class ShapeError(ValueError):
    """JSON does not have the expected shape; the message has the path and the expected type."""


class NoJsonError(ShapeError):
    """A text is not JSON; the message says so, with the reason."""


# An optional field may also be null, which means the same as a missing one.


class RecordedResource(msgspec.Struct, rename="camel"):
    """The fields of a recorded resource that the engines read."""

    urn: Urn
    type: str
    id: str | None = None
    parent: str | None = None
    provider: str | None = None
    custom: bool | None = None
    protect: bool | None = None
    delete: bool | None = None
    retain_on_delete: bool | None = None
    inputs: dict[str, Any] | None = None
    outputs: dict[str, Any] | None = None
    custom_timeouts: dict[str, Any] | None = None
    dependencies: list[str] | None = None
    property_dependencies: dict[str, list[str] | None] | None = None
    deleted_with: str | None = None
    init_errors: list[str] | None = None
    ignore_changes: list[str] | None = None
    additional_secret_outputs: list[str] | None = None

    def __post_init__(self) -> None:
        if self.custom and self.type.startswith(OBJECT_PREFIX) and self.provider is None:
            # In the words of msgspec, which adds the path.
            raise ValueError("Object missing required field `provider`")


class Operation(msgspec.Struct):
    """A pending operation."""

    resource: RecordedResource
    type: str


class _SecretsProvider(msgspec.Struct):
    state: dict[str, Any] | None = None


class Deployment(msgspec.Struct):
    """The state of a stack: `latest` of a checkpoint, `deployment` of an export of the CLI."""

    manifest: dict[str, Any] | None = None
    metadata: dict[str, Any] | None = None
    secrets_providers: _SecretsProvider | None = None
    resources: list[RecordedResource] | None = None
    pending_operations: list[Operation] | None = None


def parse_json(text: str, shape: Any = Any) -> Any:
    """Returns the value of a JSON text; of the type `shape`, if it is given.

    NoJsonError, ShapeError.
    """
    try:
        return msgspec.json.decode(text, type=shape)
    except msgspec.ValidationError as exc:
        raise _build_error(exc, "") from exc
    except RecursionError as exc:
        raise NoJsonError("is not JSON (it is nested too deeply)") from exc
    except ValueError as exc:
        raise NoJsonError(f"is not JSON ({exc})") from exc


def check_shape(value: Any, shape: Any, path: str) -> None:
    """Raises ShapeError where a JSON value is not of the type `shape`; `path` is that of it."""
    try:
        msgspec.convert(value, shape)
    except msgspec.ValidationError as exc:
        raise _build_error(exc, path) from exc


def _build_error(exc: msgspec.ValidationError, path: str) -> ShapeError:
    """Translates an error of msgspec, such as "Expected `str`, got `int` - at `$[2].type`"."""
    found = _PLACE.fullmatch(str(exc))
    assert found is not None
    message, place = found[1], f"{path}{found[2] or ''}".lstrip(".")
    if missing := _MISSING.fullmatch(message):
        return ShapeError(f"{place}.{missing[1]} is missing".lstrip("."))
    if types := _WRONG_TYPE.fullmatch(message):
        if types[2] == "null" and found[2] and not place.endswith("]"):
            return ShapeError(f"{place} is missing")
        expected, got = _TYPE_NAMES[types[1]], _TYPE_NAMES[types[2]]
        return ShapeError(f"{place} is {got}; expected {expected}")
    return ShapeError(f'{place} is not a URN; expected "urn:pulumi:<stack>::<project>::..."')
