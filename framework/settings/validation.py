"""Validates merged settings with pydantic, and reports every error at its position in a file.

pydantic reports an error at a location in its own schema, reports all arms of a union, and has no
idea of files and layers. So each location is translated into the path of a setting (locations.py).
This module then drops errors that only follow from another error, and finds the position of the
value in its layer.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from framework.core.diagnostics import (
    Code,
    Diagnostic,
    KeyPath,
    Position,
    SettingDiagnostic,
    list_positions,
)
from framework.core.field_paths import FieldPath, get_at, is_at_or_below
from framework.core.redaction import REDACTED
from framework.core.suggestions import did_you_mean, near_misses, suggest
from framework.layers import Layer, Merged
from framework.settings.base import SettingDiagnosticsError, Settings
from framework.settings.foreign_names import find_remedy
from framework.settings.locations import Location, locate, setting_names
from framework.settings.messages import (
    describe_mismatch,
    expectation,
    is_text_expected,
    is_type_mismatch,
    own_words,
    redact_diagnostic,
    show_as_list,
)

SettingsT = TypeVar("SettingsT", bound=BaseModel)

# Keys that are read before layers are merged. They are not settings, but people misspell them too.
_READ_BEFORE_MERGING = {"a model": ("profiles",)}
_SHAPE_ERRORS = frozenset(
    {"dict_type", "model_type", "mapping_type", "model_attributes_type", "list_type", "tuple_type"}
)
# Errors about what a mapping as a whole lacks or contradicts.
_WHOLE_ERRORS = frozenset({"missing", "value_error", "assertion_error"})


@dataclass(frozen=True)
class _Error:
    """One error of pydantic.

    For an error that a settings class reports about several of its settings, there is one _Error
    for each SettingDiagnostic: `mapping` is the path of the mapping that was checked, while the
    location is the setting below it.
    """

    details: ErrorDetails
    location: Location
    mapping: KeyPath
    diagnostic: SettingDiagnostic | None = None

    @property
    def is_unknown_key(self) -> bool:
        return self.details["type"] == "extra_forbidden"


def validate_settings(
    settings_type: type[SettingsT], merged: Merged, subject: str, home: str
) -> tuple[SettingsT | None, list[Diagnostic]]:
    """Returns the settings, or None where they are not valid, and the errors.

    The errors are those of `merged` and those of the validation, without errors that only follow
    from others. So the list may be empty for None, if the cause is an error in the layers' files.
    `subject` names the kind of file in messages ("a model"). `home` is the file in which a missing
    top-level setting belongs.
    """
    try:
        return settings_type.model_validate(merged.data), list(merged.diagnostics)
    except ValidationError as exc:
        errors = list(_read_errors(settings_type, exc))
    if _write_numbers_as_text(merged, errors):
        return validate_settings(settings_type, merged, subject, home)
    reporter = _Reporter(settings_type, merged, subject, home)
    misspelt, unexplained = reporter.explain_unknown_keys(errors)
    reported = [
        error
        for error in errors
        if not _follows_broken(error, merged.broken)
        and not _follows_unknown(error, misspelt, unexplained)
    ]
    diagnostics = {
        redact_diagnostic(diagnostic, merged)
        for group in _group(_choose_arms(reported))
        for diagnostic in reporter.describe(group)
    }
    # An interpolation may refer to the setting that the misspelt key was meant to be.
    own = [
        diagnostic
        for diagnostic in merged.diagnostics
        if not any(
            is_at_or_below(key, path)
            for key in merged.missing_references.get(diagnostic, ())
            for path in misspelt
        )
    ]
    return None, [*own, *sorted(diagnostics)]


def _write_numbers_as_text(merged: Merged, errors: Iterable[_Error]) -> bool:
    """Replaces numbers from interpolations by their text where a text is wanted.

    `args: ["${ports.http}"]` has nowhere to write quotes around the number. Returns True where a
    value was replaced.
    """
    errors = list(errors)
    # 70000 for a port or its name is a number that is too large, not a text.
    numeric = {error.location.path for error in errors if not is_text_expected(error.details)}
    replaced = False
    for error in errors:
        path = error.location.path
        if path in numeric or error.location.at_key or path not in merged.numbers:
            continue
        parent: Any = get_at(merged.data, path[:-1])
        if not isinstance(parent[path[-1]], str):
            parent[path[-1]] = merged.numbers[path]
            replaced = True
    return replaced


def validate_layer(settings_type: type[BaseModel], layer: Layer, subject: str) -> list[Diagnostic]:
    """Returns the errors of one layer by itself, even where a later layer overrides the value.

    A layer is partial. What it lacks, what contradicts settings that other layers may change, and
    interpolations are not errors of the layer.
    """
    data = _without_open_values(layer.data, (), layer.broken)
    try:
        settings_type.model_validate(data)
    except ValidationError as exc:
        errors = list(_read_errors(settings_type, exc))
    else:
        return []
    certain = [*filter(_is_certain_in_one_layer, _choose_arms(_without_partial(errors)))]
    if not certain:
        return []
    merged = Merged(data, {entry.path: (entry.position,) for entry in layer.entries}, (layer,))
    reporter = _Reporter(settings_type, merged, subject, layer.document.path)
    return [diagnostic for group in _group(certain) for diagnostic in reporter.describe(group)]


def _read_errors(settings_type: type[BaseModel], exc: ValidationError) -> Iterator[_Error]:
    for details in exc.errors(include_url=False):
        # pydantic counts the valid items: a list with one invalid item is "too short" as well.
        if details["type"] == "too_short" and details["input"]:
            continue
        location = locate(settings_type, details["loc"])
        cause = details.get("ctx", {}).get("error")
        if not isinstance(cause, SettingDiagnosticsError):
            yield _Error(details, location, location.path)
            continue
        for diagnostic in cause.diagnostics:
            setting = replace(location, path=(*location.path, *diagnostic.path))
            yield _Error(details, setting, location.path, diagnostic)


# --- Choosing the errors that are causes, not consequences.


def _follows_broken(error: _Error, broken: Collection[KeyPath]) -> bool:
    """Returns True where the error may only follow from a value that is left out at `broken`."""
    kind = error.details["type"]
    for path in broken:
        if path and is_at_or_below(error.mapping, path):
            return True
        # A mapping may be empty only because its one entry is left out.
        if kind in (*_WHOLE_ERRORS, "too_short") and is_at_or_below(path, error.mapping):
            return True
        # The whole document is missing, or a profile: any setting may be in it.
        if kind == "missing" and not path:
            return True
    return False


def _follows_unknown(
    error: _Error, misspelt: Collection[KeyPath], unexplained: Collection[KeyPath]
) -> bool:
    """Returns True where the error may only follow from an unknown key.

    `imag: {tag: v1}` is a misspelt `image`: until the key is corrected, nothing is known about
    `image`. So it is not reported as missing, or as having neither tag nor digest. An unknown key
    that resembles no setting may have been meant for any setting of its mapping.
    """
    path = error.mapping
    return error.details["type"] in _WHOLE_ERRORS and (
        any(is_at_or_below(path, setting) or is_at_or_below(setting, path) for setting in misspelt)
        or any(is_at_or_below(path, mapping) for mapping in unexplained)
    )


def _without_open_values(value: Any, path: KeyPath, broken: Collection[KeyPath]) -> Any:
    """Returns data without interpolations and broken values.

    A list with one of these, or with a null, is left out as a whole, because its length is part of
    its meaning.
    """
    if isinstance(value, list):
        return [_without_open_values(item, (*path, i), broken) for i, item in enumerate(value)]
    if not isinstance(value, dict):
        return value
    return {
        key: _without_open_values(child, (*path, key), broken)
        for key, child in value.items()
        if (*path, key) not in broken and not _is_open(child)
    }


def _is_open(value: Any) -> bool:
    if isinstance(value, list):
        return any(item is None or _is_open(item) for item in value)
    return isinstance(value, str) and "${" in value


def _without_partial(errors: list[_Error]) -> Iterator[_Error]:
    """Drops errors about settings that another layer gives or that a null removes.

    Drops errors about unions as well where one arm has no other errors: `A: {secret: s}` fits the
    arm "secret" of the union at `env.A` once another layer gives the key; so the errors of its
    other arms mean nothing.
    """
    only_partial: dict[tuple[KeyPath | None, str], bool] = {}
    for error in errors:
        arm = (error.location.union, error.location.arm)
        only_partial[arm] = only_partial.get(arm, True) and _is_partial(error)
    fitting = {
        union for (union, _), partial in only_partial.items() if union is not None and partial
    }
    for error in errors:
        if not _is_partial(error) and error.location.union not in fitting:
            yield error


def _is_partial(error: _Error) -> bool:
    """Returns True for a missing setting, and for a null, which removes an inherited one.

    A null under an unknown key removes nothing: `autoscalling: null`. But in a mapping that is one
    of several kinds, any key may belong to another kind.
    """
    if error.is_unknown_key and not error.location.union:
        return False
    return error.details["type"] == "missing" or error.details["input"] is None


def _is_certain_in_one_layer(error: _Error) -> bool:
    """Returns False where other layers decide whether this is an error.

    They may have what a rule about a whole mapping requires. A value of the wrong shape is reported
    by the merge, where it conflicts with another layer.
    """
    if error.diagnostic is not None or error.details["type"] in _SHAPE_ERRORS:
        return False
    container = isinstance(error.details["input"], dict | list) and not error.location.at_key
    return error.is_unknown_key or not container


def _choose_arms(errors: Iterable[_Error]) -> Iterator[_Error]:
    """Yields, for each union, only the errors of the arm that was probably meant.

    This is the arm with the fewest errors among those whose type fits; all arms where none fits.
    """
    unions: dict[KeyPath, dict[str, list[_Error]]] = {}
    for error in errors:
        if error.location.union is None:
            yield error
        else:
            arms = unions.setdefault(error.location.union, {})
            arms.setdefault(error.location.arm, []).append(error)
    for path, arms in unions.items():
        fitting = [
            arm
            for arm in arms.values()
            if not any(
                is_type_mismatch(error.details) and error.location.path == path for error in arm
            )
        ]
        for arm in [min(fitting, key=len)] if fitting else arms.values():
            yield from arm


def _group(errors: Iterable[_Error]) -> Iterable[list[_Error]]:
    """Groups errors about the same value, so that it gets one diagnostic."""
    groups: dict[tuple[KeyPath, bool, bool, SettingDiagnostic | None], list[_Error]] = {}
    for error in errors:
        location = error.location
        key = (location.path, location.at_key, error.is_unknown_key, error.diagnostic)
        groups.setdefault(key, []).append(error)
    return groups.values()


# --- Diagnostics, with their positions.


def _forms(owner: type[BaseModel] | None) -> str:
    return owner.forms if owner and issubclass(owner, Settings) else ""


@dataclass(frozen=True)
class _Reporter:
    """Builds the diagnostics of one validation."""

    settings_type: type[BaseModel]
    merged: Merged
    subject: str
    home: str

    def describe(self, group: list[_Error]) -> Iterator[Diagnostic]:
        error, location = group[0], group[0].location
        path, kind = location.path, error.details["type"]
        position = self.merged.origin(path) or self.merged.start_of(self.home)
        if error.diagnostic:
            yield self._describe_contradiction(error, error.diagnostic)
        elif error.is_unknown_key:
            yield from self._describe_unknown_key(error, position)
        elif kind == "missing":
            owner = FieldPath(path[:-1]) if path[:-1] else self.subject
            message = f"{FieldPath(path)} is missing; {owner} needs it"
            forms = _forms(location.owner)
            if forms and (not error.details["input"] or f"{{{path[-1]}:" in forms):
                message = f"{owner} has no source; expected {forms}"
            yield self._owner_position(path[:-1]).diagnostic(Code.MISSING_KEY, message)
        elif location.at_key:
            position = (*self.merged.key_positions(path), position)[0]
            words = own_words(error.details)
            message = f'"{path[-1]}" is not a valid name for {FieldPath(path[:-1])}; {words}'
            yield position.diagnostic(Code.BAD_NAME, message)
        else:
            details = [error.details for error in group]
            inconsistent = kind == "value_error" and not expectation(error.details)
            code = Code.INCONSISTENT if inconsistent else Code.BAD_VALUE
            message = describe_mismatch(path, details, self.merged, self.subject)
            value = error.details["input"]
            if location.is_text_list and isinstance(value, str) and REDACTED not in message:
                message += show_as_list(path, value)
            yield position.diagnostic(code, message)

    def explain_unknown_keys(self, errors: Iterable[_Error]) -> tuple[set[KeyPath], set[KeyPath]]:
        """Returns the paths of misspelt settings, and the mappings with other unknown keys.

        The first set has the setting that an unknown key was probably meant to be. For a key that
        resembles no setting, the second set has the path of its mapping. A misspelt `profiles` is
        such a key too: any setting of the model may be missing because of it.
        """
        misspelt: set[KeyPath] = set()
        unexplained: set[KeyPath] = set()
        for error in errors:
            if not error.is_unknown_key:
                continue
            *parent, key = error.location.path
            near = near_misses(str(key), self._known_names(error))
            if near and near[0] in setting_names(error.location.owner):
                misspelt.add((*parent, near[0]))
            else:
                unexplained.add(tuple(parent))
        return misspelt, unexplained

    def _known_names(self, error: _Error) -> tuple[str, ...]:
        names = setting_names(error.location.owner)
        if error.location.owner is self.settings_type:
            names = (*names, *_READ_BEFORE_MERGING.get(self.subject, ()))
        return names

    def _describe_unknown_key(self, error: _Error, position: Position) -> Iterator[Diagnostic]:
        *parent, key = error.location.path
        known = self._known_names(error)
        owner = str(FieldPath(tuple(parent)))
        if error.location.owner is self.settings_type:
            owner = self.subject
        # A list of more names than a settings class usually has does not help.
        hint = suggest(str(key), known) if len(known) <= 12 or near_misses(str(key), known) else ""
        forms = _forms(error.location.owner)
        owner_class = error.location.owner.__name__ if error.location.owner else ""
        if remedy := find_remedy(owner_class, str(key)):
            hint = f"; {remedy}"
        elif forms:
            near = did_you_mean(str(key), known)
            hint = f"; expected {forms}{'; ' if near else ''}{near}"
        message = f'"{key}" is not a setting of {owner}{hint}'
        if f"{{{key}:" in forms:
            message = f'{owner} has both "{known[0]}" and "{key}"{hint}'
        for key_position in self.merged.key_positions(error.location.path) or (position,):
            yield key_position.diagnostic(Code.UNKNOWN_KEY, message)

    def _describe_contradiction(self, error: _Error, found: SettingDiagnostic) -> Diagnostic:
        """Returns an error about settings that contradict each other.

        Its position is that of the setting which the latest layer sets, as for the checks of plans:
        with the layers below, there was no error. It names the positions of the others.
        """
        path = error.location.path
        names = {path: FieldPath(found.path)}
        names |= {(*error.mapping, *other): FieldPath(other) for other in found.others}
        latest = self.merged.find_latest(names) or path
        position = self.merged.origin(latest) or self.merged.start_of(self.home)
        others = {
            str(name): self.merged.origins[cause][-1]
            for cause, name in names.items()
            if cause != latest and str(name) and cause in self.merged.origins
        }
        subject = FieldPath(path) if path else self.subject
        message = f"{subject} {found.message}{list_positions(others, position)}"
        return position.diagnostic(found.code, message)

    def _owner_position(self, owner: KeyPath) -> Position:
        """Returns the position of the mapping that lacks a key, in the home file if it is there."""
        while owner and owner not in self.merged.origins:
            owner = owner[:-1]
        positions = self.merged.origins.get(owner, ())
        at_home = [position for position in positions if position.path == self.home]
        return (*positions, *at_home)[-1] if positions else self.merged.start_of(self.home)
