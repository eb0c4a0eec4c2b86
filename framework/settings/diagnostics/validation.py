"""Validates merged settings, and gives every error its place.

Kept apart from wording: this decides where a fault is told, which of a union's errors is the one to
tell, and which only follow from a fault that is told already.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from framework.core.diagnostics import Code, Diagnostic, KeyPath, Position, SettingDiagnostic
from framework.core.redaction import REDACTED
from framework.core.suggestions import suggest
from framework.layers import Layer, Merged
from framework.settings.base import SettingDiagnosticsError
from framework.settings.diagnostics.locating import Location, locate, setting_names
from framework.settings.diagnostics.wording import (
    dotted,
    expectation,
    is_type_mismatch,
    own_words,
    redact_diagnostic,
    show,
)

Settings = TypeVar("Settings", bound=BaseModel)


_BESIDE = {"a model": ("profiles",)}


@dataclass(frozen=True)
class _Found:
    """One error; of several `flaw`s of one mapping, `at` is the mapping's path."""

    error: ErrorDetails
    location: Location
    at: KeyPath
    diagnostic: SettingDiagnostic | None = None


def validate_settings(
    settings_type: type[Settings], merged: Merged, what: str, home: str
) -> tuple[Settings | None, list[Diagnostic]]:
    """The settings, or None and every fault in them.

    `what` names the kind of thing in messages ("a model"). `home` is the file that a missing
    top-level key is told at, line 1. Faults that `merged` has already are not repeated, nor what
    follows from them; so None with no fault is possible.
    """
    try:
        return settings_type.model_validate(merged.data), []
    except ValidationError as exc:
        errors = exc.errors(include_url=False)
    found = [one for error in errors for one in _find(settings_type, error)]
    told = [one for one in found if not _follows(one, merged.broken)]
    diagnostics = {
        redact_diagnostic(diagnostic, merged)
        for group in _group(_best_arms(told))
        for diagnostic in _describe(group, settings_type, merged, what, home)
    }
    return None, sorted(diagnostics)


def validate_layer(settings_type: type[BaseModel], layer: Layer, what: str) -> list[Diagnostic]:
    """What is wrong in one layer by itself, whether or not a later layer says otherwise.

    A layer is partial: what it lacks, what contradicts other settings, and what an interpolation
    will give, is no fault of it.
    """
    data = _without_open(layer.data, (), layer.broken)
    try:
        settings_type.model_validate(data)
        return []
    except ValidationError as exc:
        errors = exc.errors(include_url=False)
    found = [one for error in errors for one in _find(settings_type, error)]
    told = [one for one in _best_arms(_without_partial(found)) if _stands_alone(one)]
    merged = Merged(data, {entry.path: (entry.position,) for entry in layer.entries}, (layer,))
    home = layer.document.path
    groups = _group(told)
    return [one for group in groups for one in _describe(group, settings_type, merged, what, home)]


def _without_open(value: Any, path: KeyPath, broken: Collection[KeyPath]) -> Any:
    """The data without nulls, interpolations and what is broken; a list with one goes whole."""
    if isinstance(value, list):
        return [_without_open(item, (*path, i), broken) for i, item in enumerate(value)]
    if not isinstance(value, dict):
        return value
    return {
        key: _without_open(child, (*path, key), broken)
        for key, child in value.items()
        if (*path, key) not in broken and not _is_open(child)
    }


def _is_open(value: Any) -> bool:
    if isinstance(value, list):
        return any(map(_is_open, value))
    return value is None or (isinstance(value, str) and "${" in value)


def _without_partial(found: Iterable[_Found]) -> Iterator[_Found]:
    """Without what is only missing; an arm of a union that lacks no more may be the one meant."""
    listed = list(found)
    whole: dict[tuple[KeyPath | None, str], bool] = {}
    for one in listed:
        arm = (one.location.union, one.location.arm)
        whole[arm] = whole.get(arm, True) and one.error["type"] == "missing"
    fine = {union for (union, _), partial in whole.items() if union is not None and partial}
    for one in listed:
        if one.error["type"] != "missing" and one.location.union not in fine:
            yield one


_SHAPES = frozenset(
    {"dict_type", "model_type", "mapping_type", "model_attributes_type", "list_type", "tuple_type"}
)


def _stands_alone(one: _Found) -> bool:
    """False where other layers have a part in it: of a mapping's rule they may bring the rest, and
    a wrong shape is told where it meets the right one."""
    shaped = isinstance(one.error["input"], dict | list) and not one.location.at_key
    unknown = one.error["type"] == "extra_forbidden"
    return one.diagnostic is None and one.error["type"] not in _SHAPES and (unknown or not shaped)


def _find(settings_type: type[BaseModel], error: ErrorDetails) -> Iterator[_Found]:
    location = locate(settings_type, error["loc"])
    cause = error.get("ctx", {}).get("error")
    if not isinstance(cause, SettingDiagnosticsError):
        yield _Found(error, location, location.path)
        return
    for diagnostic in cause.diagnostics:
        below = replace(location, path=(*location.path, *diagnostic.path))
        yield _Found(error, below, location.path, diagnostic)


def _follows(found: _Found, broken: Iterable[KeyPath]) -> bool:
    """True where the error may only be the consequence of a value that is left out."""
    path, kind = found.at, found.error["type"]
    for left_out in broken:
        if left_out and path[: len(left_out)] == left_out:
            return True
        if kind in ("missing", "value_error", "assertion_error") and left_out[: len(path)] == path:
            return True
        if kind == "missing" and not left_out:
            return True
    return False


def _best_arms(found: Iterable[_Found]) -> Iterator[_Found]:
    """Of each union only the arm that was meant: a matching type with the fewest errors."""
    unions: dict[KeyPath, dict[str, list[_Found]]] = {}
    for one in found:
        if one.location.union is None:
            yield one
        else:
            arms = unions.setdefault(one.location.union, {})
            arms.setdefault(one.location.arm, []).append(one)
    for at, arms in unions.items():
        fitting = [
            arm
            for arm in arms.values()
            if not any(is_type_mismatch(one.error) and one.location.path == at for one in arm)
        ]
        for arm in [min(fitting, key=len)] if fitting else arms.values():
            yield from arm


def _group(found: Iterable[_Found]) -> Iterable[list[_Found]]:
    """Errors by what they are about, so that one value has one fault."""
    groups: dict[tuple[KeyPath, bool, bool, SettingDiagnostic | None], list[_Found]] = {}
    for one in found:
        unknown = one.error["type"] == "extra_forbidden"
        key = (one.location.path, one.location.at_key, unknown, one.diagnostic)
        groups.setdefault(key, []).append(one)
    return groups.values()


def _describe(
    group: list[_Found], settings_type: type[BaseModel], merged: Merged, what: str, home: str
) -> Iterator[Diagnostic]:
    error, location = group[0].error, group[0].location
    path = location.path
    if diagnostic := group[0].diagnostic:
        position = _value_position(merged, path, home)
        others = _others(group[0], diagnostic, merged, position)
        message = f"{dotted(path) or what} {diagnostic.message}{others}"
        yield position.diagnostic(diagnostic.code, message)
    elif error["type"] == "extra_forbidden":
        owner = what if location.owner is settings_type else dotted(path[:-1])
        known = setting_names(location.owner) if location.owner else ()
        if location.owner is settings_type:
            # No setting, since it is read before anything is merged; but people misspell it, too.
            known = (*known, *_BESIDE.get(what, ()))
        message = f'"{path[-1]}" is no setting of {owner}{suggest(str(path[-1]), known)}'
        for position in merged.key_positions(path) or (_value_position(merged, path, home),):
            yield position.diagnostic(Code.UNKNOWN_KEY, message)
    elif error["type"] == "missing":
        owner = dotted(path[:-1]) or what
        position = _owner_position(merged, path[:-1], home)
        yield position.diagnostic(Code.MISSING_KEY, f"{dotted(path)} is missing; {owner} needs it")
    elif location.at_key:
        position = (*merged.key_positions(path), _value_position(merged, path, home))[0]
        message = f'"{path[-1]}" is no name for {dotted(path[:-1])}; {own_words(error)}'
        yield position.diagnostic(Code.BAD_NAME, message)
    else:
        message = _mismatch(group, merged, what)
        related = error["type"] == "value_error" and not expectation(error)
        code = Code.INCONSISTENT if related else Code.BAD_VALUE
        yield _value_position(merged, path, home).diagnostic(code, message)


def _others(
    found: _Found, diagnostic: SettingDiagnostic, merged: Merged, position: Position
) -> str:
    """Where the other settings of a flaw stand; "" where none stands on another line than it."""
    positions = {other: merged.origins.get((*found.at, *other)) for other in diagnostic.others}
    told = {dotted(other): listed[-1].short for other, listed in positions.items() if listed}
    if set(told.values()) <= {position.short}:
        return ""
    return f" ({', '.join(f'{name} at {where}' for name, where in told.items())})"


def _mismatch(group: list[_Found], merged: Merged, what: str) -> str:
    error, path = group[0].error, group[0].location.path
    expected = list(dict.fromkeys(filter(None, (expectation(one.error) for one in group))))
    if expected:
        spelling = merged.spelling(path)
        shown = REDACTED if merged.is_secret(path) else show(path, error["input"], spelling)
        message = f"{dotted(path) or what} is {shown}; expected {' or '.join(expected)}"
        number = error["type"] == "string_type" and isinstance(error["input"], int | float)
        if number and shown != REDACTED:
            message += f': quote it, "{shown}"'
        return message
    words = own_words(error)
    subject = dotted(path) or (what if words.startswith("has ") else "")
    if not subject:
        return words
    return f"{subject} {words}" if words.startswith("has ") else f"{subject}: {words}"


def _value_position(merged: Merged, path: KeyPath, home: str) -> Position:
    return merged.origin(path) or Position(home, 1, 1)


def _owner_position(merged: Merged, owner: KeyPath, home: str) -> Position:
    """The mapping that lacks a key, best where the model itself has it; its file, where none."""
    while owner and owner not in merged.origins:
        owner = owner[:-1]
    positions = merged.origins.get(owner, ())
    own = [position for position in positions if position.path == home]
    return own[-1] if own else positions[-1] if positions else Position(home, 1, 1)
