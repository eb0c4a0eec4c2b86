"""Follows pydantic's error locations through the settings classes.

Kept apart because a location is no path: in a union it has the arm's label, at a mapping's key it
ends in "[key]", and aliases stand for fields. Here it becomes the path of the setting.
"""

from __future__ import annotations

import types
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, Tag

from framework.core.diagnostics import KeyPath


@dataclass(frozen=True)
class Location:
    """Where an error is: `path` of the setting, or of its key with `at_key`.

    `union` is the path of the outermost union it is in, and `arm` that union's arm. `owner` is the
    settings class whose field or unknown key the last part of `path` is.
    """

    path: KeyPath
    at_key: bool
    union: KeyPath | None
    arm: str
    owner: type[BaseModel] | None


def locate(settings_type: type[BaseModel], loc: Sequence[str | int]) -> Location:
    """Follow `loc` from `settings_type`."""
    here: Any = settings_type
    path: KeyPath = ()
    union, arm, at_key = None, "", False
    owner: type[BaseModel] | None = None
    for part in loc:
        if part == "[key]":
            at_key = True
            continue
        arms = _arms(here)
        if len(arms) > 1:
            if union is None:
                union, arm = path, str(part)
            here = next((found for label, found in arms if label == part), Any)
            continue
        here = arms[0][1]
        owner = here if _is_settings(here) else None
        path = (*path, part)
        here = _below(here, part)
    return Location(path, at_key, union, arm, owner)


def setting_names(settings_type: type[BaseModel]) -> tuple[str, ...]:
    """The keys that YAML may have for `settings_type`."""
    return tuple(field.alias or name for name, field in settings_type.model_fields.items())


def _is_settings(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _bare(annotation: Any) -> Any:
    while get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    return annotation


def _arms(annotation: Any) -> list[tuple[str, Any]]:
    """The arms of a union by label, None left out; the annotation alone where it is no union."""
    bare = _bare(annotation)
    if get_origin(bare) not in (Union, types.UnionType):
        return [("", bare)]
    arms = [arm for arm in get_args(bare) if arm is not type(None)]
    if len(arms) == 1:
        return _arms(arms[0])
    return [(_label(arm), _bare(arm)) for arm in arms]


def _label(arm: Any) -> str:
    metadata = get_args(arm)[1:] if get_origin(arm) is Annotated else ()
    tags = [item.tag for item in metadata if isinstance(item, Tag)]
    return tags[0] if tags else getattr(_bare(arm), "__name__", str(arm))


def _below(annotation: Any, part: str | int) -> Any:
    if _is_settings(annotation):
        for name, field in annotation.model_fields.items():
            if part in (field.alias, name):
                return field.annotation
        return Any
    arguments = get_args(annotation)
    if get_origin(annotation) is dict:
        return arguments[1]
    return arguments[0] if arguments and isinstance(part, int) else Any
