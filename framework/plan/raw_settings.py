"""Checks settings that are written in the form of Kubernetes, such as `scheduling.affinity`.

They are checked as patches are: against the fields of the API, and by its rules.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cache
from typing import Any, get_args

from pydantic import BaseModel

from framework.catalog import CatalogModel
from framework.core.diagnostics import Diagnostic, KeyPath, SettingDiagnostic
from framework.core.field_paths import FieldPath
from framework.layers import Merged
from framework.plan.patch.field_checks import find_definition_diagnostics
from framework.settings.messages import redact_diagnostic, show_in
from framework.settings.values import Definition


def find_raw_diagnostics(model: CatalogModel) -> Iterator[Diagnostic]:
    """Yields an error for each value in these settings that the API server would refuse."""
    yield from _find_in_track(model, model.settings, model.merged)
    if model.candidate and model.candidate_merged:
        yield from _find_in_track(model, model.candidate, model.candidate_merged)


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
        # See `_definition` for the "*".
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
        name: (field.alias or name, _definition(settings_type, name))
        for name, field in settings_type.model_fields.items()
    }


def _definition(settings_type: type[BaseModel], name: str) -> str:
    """Returns the name of the Kubernetes definition that a setting has the form of, else "".

    For example, `scheduling.affinity` has the form of `Affinity`. The result begins with "*" if the
    setting maps names to values of that form, as `autoscaling.metrics` does.
    """
    field = settings_type.model_fields[name]
    marks = [mark.name for mark in field.metadata if isinstance(mark, Definition)]
    if marks:
        return marks[0]
    return _find_mark(field.annotation, "")


def _find_mark(annotation: Any, prefix: str) -> str:
    for argument in get_args(annotation):
        if isinstance(argument, Definition):
            return f"{prefix}{argument.name}"
        nested = "*" if getattr(annotation, "__origin__", None) is dict else prefix
        if found := _find_mark(argument, nested):
            return found
    return ""


def _find_in_track(
    model: CatalogModel, settings: BaseModel, merged: Merged
) -> Iterator[Diagnostic]:
    for at, definition, value in list_raw_settings(settings):

        def show_value(path: KeyPath, child: Any, at: KeyPath = at) -> str:
            return show_in(merged, (*at, *path), child)

        for problem in find_definition_diagnostics(definition, value, show_value):
            for diagnostic in _locate(model, merged, at, problem):
                yield redact_diagnostic(diagnostic, merged)


def _locate(
    model: CatalogModel, merged: Merged, at: KeyPath, problem: SettingDiagnostic
) -> Iterator[Diagnostic]:
    """Yields a diagnostic at the value; for a wrong key, one at the key in each layer with it."""
    path = (*at, *problem.path)
    positions = merged.key_positions(path) if problem.at_key else ()
    message = f"{FieldPath(path)} {problem.message}"
    for position in positions or (model.position(path, merged),):
        diagnostic = position.diagnostic(problem.code, message, model.name)
        yield replace(diagnostic, redacted=merged.is_secret(path))
