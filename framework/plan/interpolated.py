"""Turns numbers from interpolations into text, in the fields of Kubernetes that take text.

The annotation `"${ports.http}"` resolves to the number 8080, but Kubernetes accepts text only. The
author cannot ask for text: the quotes belong to the YAML of the interpolation, not to its result.
For settings of our own, the validation does the same. This module does it for what is written in
the form of Kubernetes: `patch`, `objects` and settings such as `scheduling.affinity`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from framework.catalog import CatalogModel
from framework.core.diagnostics import KeyPath
from framework.layers import Merged
from framework.plan.patch.field_types import FieldType, list_kinds
from framework.plan.raw_settings import list_raw_settings
from framework.settings.model import Model


def write_numbers_as_text(model: CatalogModel) -> CatalogModel:
    """Returns the model with these numbers as text."""
    tracks = {name: _write_in_track(*track) for name, track in model.tracks.items()}
    settings, merged = tracks["stable"]
    candidate, candidate_merged = tracks.get("canary", (model.candidate, model.candidate_merged))
    return replace(
        model,
        settings=settings,
        merged=merged,
        candidate=candidate,
        candidate_merged=candidate_merged,
    )


def _write_in_track(settings: Model, merged: Merged) -> tuple[Model, Merged]:
    # Most models have none of these numbers, and field types take long to load.
    if not merged.numbers:
        return settings, merged
    data = merged.data
    for at, field_type in _list_places(settings):
        for path, text in merged.numbers.items():
            below = path[len(at) :]
            if path[: len(at)] == at and below and _takes_text(field_type, below):
                data = _replace(data, path, text)
    if data is merged.data:
        return settings, merged
    return Model.model_validate(data), replace(merged, data=data)


def _list_places(settings: Model) -> Iterator[tuple[KeyPath, FieldType]]:
    """Yields the path of each setting in the form of Kubernetes, and its type.

    For a custom resource, only the metadata has a type; its other fields are unknown here.
    """
    for key in settings.patch:
        yield ("patch", key), FieldType(key.partition("/")[0])
    for key, content in settings.objects.items():
        if content["kind"] in list_kinds(content["apiVersion"]):
            yield ("objects", key), FieldType(content["kind"])
        else:
            yield ("objects", key, "metadata"), FieldType("ObjectMeta")
    for at, definition, _ in list_raw_settings(settings):
        yield at, FieldType(definition)


def _takes_text(field_type: FieldType | None, path: KeyPath) -> bool:
    for key in path:
        if field_type is None:
            return False
        field_type = field_type.items if isinstance(key, int) else field_type.child(key)
    return field_type is not None and field_type.name == "string"


def _replace(value: Any, path: KeyPath, text: str) -> Any:
    """Returns a copy of nested mappings and lists with another value at `path`."""
    if not path:
        return text
    items = value.items() if isinstance(value, Mapping) else enumerate(value)
    replaced = {
        key: _replace(child, path[1:], text) if key == path[0] else child for key, child in items
    }
    return replaced if isinstance(value, Mapping) else list(replaced.values())
