"""Translates pydantic's location of an error into the path of a setting."""

from __future__ import annotations

import types
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, Tag

from framework.core.diagnostics import KeyPath
from framework.settings.forms import get_origin_type

# Ends the path of a location if the error is about the key of a mapping, not about its value.
_KEY = "[key]"


@dataclass(frozen=True)
class Location:
    """The setting that an error is about; `at_key` where it is about the key itself.

    `union` is the path of the outermost union around the setting, and `arm` the label of the arm
    that reported the error. `owner` is the settings class in which the last part of `path` is a
    key, or an unknown key. `is_text_list` is True if the setting is a list of text.
    """

    path: KeyPath
    at_key: bool
    union: KeyPath | None
    arm: str
    owner: type[BaseModel] | None
    is_text_list: bool = False


def locate(settings_type: type[BaseModel], loc: Sequence[str | int]) -> Location:
    """Follows pydantic's location from `settings_type`, through the type of each part.

    A location is not a path, because it names the arm of each union as well. For example, the
    location `("env", "A", "secret", "key")` is the setting `env.A.key`:

        part      type in which it is looked up                      path so far
        env       Model, a settings class                            env
        A         dict[str, text | secret | ...]                     env.A
        secret    text | secret | ..., a union: the label of an arm  env.A     (union, arm "secret")
        key       SecretValue, a settings class                      env.A.key  (owner)
    """
    annotation: Any = settings_type
    path: KeyPath = ()
    union, arm = None, ""
    owner: type[BaseModel] | None = None
    for part in loc:
        if part == _KEY:
            break
        arms = _list_arms(annotation)
        if len(arms) > 1:
            # Of unions in a union, the outermost decides which errors are shown.
            if union is None:
                union, arm = path, str(part)
            annotation = next((type_ for label, type_ in arms if label == part), Any)
            continue
        _, container = arms[0]
        owner = container if _is_settings(container) else None
        path = (*path, part)
        annotation = _find_annotation(container, part)
    return Location(path, _KEY in loc, union, arm, owner, _is_text_list(annotation))


def setting_names(settings_type: type[BaseModel] | None) -> tuple[str, ...]:
    """Returns the keys of a settings class as people write them; () for None."""
    fields = settings_type.model_fields.items() if settings_type else ()
    return tuple(field.alias or name for name, field in fields)


def _list_arms(annotation: Any) -> list[tuple[str, Any]]:
    """Returns the arms of a union by label, without None; for no union, the annotation alone."""
    type_ = get_origin_type(annotation)
    if get_origin(type_) not in (Union, types.UnionType):
        return [("", type_)]
    arms = [arm for arm in get_args(type_) if arm is not type(None)]
    if len(arms) == 1:
        return _list_arms(arms[0])
    return [(_label(arm), get_origin_type(arm)) for arm in arms]


def _label(arm: Any) -> str:
    """Returns the label that pydantic gives an arm: its Tag, else the name of the type."""
    metadata = get_args(arm)[1:] if get_origin(arm) is Annotated else ()
    tags = [item.tag for item in metadata if isinstance(item, Tag)]
    return tags[0] if tags else getattr(get_origin_type(arm), "__name__", str(arm))


def _is_text_list(annotation: Any) -> bool:
    items = [get_args(arm)[0] for _, arm in _list_arms(annotation) if get_origin(arm) is tuple]
    return any(type_ is str for item in items for _, type_ in _list_arms(item))


def _is_settings(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _find_annotation(container: Any, part: str | int) -> Any:
    """Returns the type of one key or item of a type; Any where it has none."""
    if _is_settings(container):
        for name, field in container.model_fields.items():
            if part in (field.alias, name):
                return field.annotation
        return Any
    arguments = get_args(container)
    if get_origin(container) is dict:
        return arguments[1]
    return arguments[0] if arguments and isinstance(part, int) else Any


def join_dotted_key(settings_type: type[BaseModel], parts: Sequence[str]) -> list[str] | None:
    """Joins the last parts of a dotted path, where they are one key that contains dots.

    For example, ["resources", "limits", "nvidia", "com/gpu"] becomes
    ["resources", "limits", "nvidia.com/gpu"]: the values of `limits` are single values, so nothing
    can be below a key of it. Returns None where no key of the path can contain dots.
    """
    annotation: Any = settings_type
    for index, part in enumerate(parts):
        arms = [type_ for _, type_ in _list_arms(annotation)]
        mapping = next((arm for arm in arms if get_origin(arm) is dict), None)
        if mapping is not None and index < len(parts) - 1:
            values = [type_ for _, type_ in _list_arms(get_args(mapping)[1])]
            if not any(value is Any or _has_keys(value) for value in values):
                return [*parts[:index], ".".join(parts[index:])]
        # If it may be a text or a mapping of settings, only the mapping can have a part below it.
        of_class = next((arm for arm in arms if _is_settings(arm)), mapping)
        annotation = _find_annotation(of_class, part) if of_class else Any
    return None


def _has_keys(annotation: Any) -> bool:
    return _is_settings(annotation) or get_origin(annotation) is dict
