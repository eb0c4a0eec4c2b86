"""Checks settings that are written in the form of Kubernetes, such as `scheduling.affinity`.

They are checked as patches are: against the fields of the API, and by its rules.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import cache
from typing import Any, get_args, get_origin

from pydantic import BaseModel

from framework.catalog import CatalogModel
from framework.core.diagnostics import Diagnostic, KeyPath
from framework.core.field_paths import FieldPath
from framework.layers import Merged
from framework.plan.patch.field_checks import find_definition_diagnostics
from framework.settings.messages import redact_diagnostic, show_in
from framework.settings.values import Definition


def find_raw_diagnostics(model: CatalogModel) -> Iterator[Diagnostic]:
    """Yields an error for each value in these settings that the API server would refuse."""
    for settings, merged in model.tracks.values():
        for at, definition, value in list_raw_settings(settings):

            def show_value(
                path: KeyPath, child: Any, at: KeyPath = at, merged: Merged = merged
            ) -> str:
                return show_in(merged, (*at, *path), child)

            for problem in find_definition_diagnostics(definition, value, show_value):
                path = (*at, *problem.path)
                message = f"{FieldPath(path)} {problem.message}"
                redacted = merged.is_secret(path)
                for position in model.locate(path, merged, at_key=problem.at_key):
                    found = position.diagnostic(problem.code, message, model.name)
                    yield redact_diagnostic(replace(found, redacted=redacted), merged)


def list_raw_settings(
    settings: BaseModel, at: KeyPath = ()
) -> Iterator[tuple[KeyPath, str, Mapping[str, Any]]]:
    """Yields the path, the definition and the content of each mapping in the form of Kubernetes."""
    fields = _describe_fields(type(settings))
    for name in sorted(settings.model_fields_set):
        value = getattr(settings, name)
        # Most settings are single values, which have no form of Kubernetes.
        if isinstance(value, BaseModel | dict | tuple):
            key, definition = fields[name]
            yield from _list_in_value(value, (*at, key), definition)


def _list_in_value(
    value: Any, at: KeyPath, definition: str
) -> Iterator[tuple[KeyPath, str, Mapping[str, Any]]]:
    if isinstance(value, BaseModel):
        yield from list_raw_settings(value, at)
    elif isinstance(value, Mapping):
        # See `_find_mark` for the "*".
        named = definition.startswith("*")
        if definition and not named:
            yield at, definition, value
            return
        for key, child in value.items():
            yield from _list_in_value(child, (*at, key), definition.removeprefix("*"))
    elif isinstance(value, tuple):
        for index, child in enumerate(value):
            yield from _list_in_value(child, (*at, index), "")


@cache
def _describe_fields(settings_type: type[BaseModel]) -> dict[str, tuple[str, str]]:
    """Returns the key in YAML and the definition of each field, by its name."""
    return {
        # pydantic moves the marks of a plain Annotated field from its type to the field.
        name: (field.alias or name, _find_mark((*field.metadata, field.annotation)))
        for name, field in settings_type.model_fields.items()
    }


def _find_mark(parts: Iterable[Any], prefix: str = "") -> str:
    """Returns the name of the Kubernetes definition that a setting has the form of, else "".

    For example, `scheduling.affinity` has the form of `Affinity`. The result begins with "*" if the
    setting maps names to values of that form, as `autoscaling.metrics` does.
    """
    for part in parts:
        if isinstance(part, Definition):
            return f"{prefix}{part.name}"
        if found := _find_mark(get_args(part), "*" if get_origin(part) is dict else prefix):
            return found
    return ""
