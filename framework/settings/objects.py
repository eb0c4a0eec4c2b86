"""Further Kubernetes objects of a model, written in the form of Kubernetes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from pydantic import Field

from framework.core.diagnostics import Code, KeyPath, SettingDiagnostic
from framework.settings.values import ShortName

FurtherObject = Annotated[
    dict[str, Any],
    Field(json_schema_extra={"properties": {"apiVersion": {"type": "string"}, "kind": {}}}),
]
Objects = dict[ShortName, FurtherObject]

_REQUIRED = {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress"}


def find_object_shapes(objects: Mapping[str, Mapping[str, Any]]) -> Iterator[SettingDiagnostic]:
    """Yields the errors that prevent a build: no apiVersion, no kind, metadata of a wrong type.

    Everything else in an object is checked once it is built.
    """
    for name, content in objects.items():
        path: KeyPath = ("objects", name)
        for key, example in _REQUIRED.items():
            value = content.get(key)
            if value is None:
                message = f"is missing; expected a value such as {example}"
                yield SettingDiagnostic((*path, key), message, Code.MISSING_KEY)
            elif not isinstance(value, str) or not value:
                message = f"is not text; expected text such as {example}"
                yield SettingDiagnostic((*path, key), message, Code.BAD_VALUE)
        yield from _find_metadata(content.get("metadata", {}), (*path, "metadata"))


def _find_metadata(metadata: Any, path: KeyPath) -> Iterator[SettingDiagnostic]:
    if not isinstance(metadata, dict):
        yield SettingDiagnostic(path, "has the wrong type; expected a mapping", Code.BAD_VALUE)
        return
    for key, type_, expected in (
        ("name", str, "text"),
        ("labels", dict, "a mapping"),
        ("annotations", dict, "a mapping"),
    ):
        if not isinstance(metadata.get(key, type_()), type_):
            message = f"has the wrong type; expected {expected}"
            yield SettingDiagnostic((*path, key), message, Code.BAD_VALUE)
