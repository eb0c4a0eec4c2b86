"""Lists the effective settings of a model, and makes copies with one setting changed.

The copies are for experiments: rendered_fields plans them to see which fields a setting changes. So
the values only need the right type. They are chosen from the type hints of the settings classes,
which works for a new setting without further code.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin

from pydantic import BaseModel, ValidationError

from framework.core.field_paths import MISSING

Root = TypeVar("Root", bound=BaseModel)

# The suffix of a renamed key. It occurs in no other path or value.
RENAMED = "-renamed"
_NUMBER = re.compile(r"\d+")
_PERCENTAGE = re.compile(r"\d+%")


@dataclass(frozen=True, eq=False)
class Setting:
    """One setting: a single value, a list, an empty mapping, or a `section`.

    `path` is its place in YAML, `attributes` in Python. `default` is True if no file sets it, and
    `removable` if the settings are complete without it. For example, the limit of the CPU:

        path        ("resources", "limits", "cpu")      a key of the schema has its alias here
        attributes  ("resources", "limits", "cpu")      and its Python name here
        annotation  Quantity
    """

    held: Any
    annotation: Any
    path: tuple[str, ...] = ()
    attributes: tuple[str, ...] = ()
    default: bool = False
    removable: bool = False

    @cached_property
    def value(self) -> Any:
        """Returns the value as plain data."""
        return _to_plain(self.held)

    @property
    def section(self) -> bool:
        """Returns True for a mapping with settings in it, such as `autoscaling`."""
        return isinstance(self.held, BaseModel) or (isinstance(self.held, dict) and bool(self.held))

    def list_children(self) -> Iterator[Setting]:
        """Yields the settings of a settings class, or the entries of a mapping."""
        if isinstance(self.held, BaseModel):
            for name, field in type(self.held).model_fields.items():
                child = getattr(self.held, name)
                yield Setting(
                    child,
                    field.annotation,
                    (*self.path, field.alias or name),
                    (*self.attributes, name),
                    default=self.default or name not in self.held.model_fields_set,
                    # None stands for a setting that is not set, so it can be removed again.
                    removable=child is not None and type(None) in _union_members(field.annotation),
                )
        elif self.section:
            item_type = _item_type(self.annotation)
            for key, child in self.held.items():
                path, attributes = (*self.path, key), (*self.attributes, key)
                yield Setting(child, item_type, path, attributes, self.default, removable=True)

    def alternatives(self, settings: Root) -> Iterator[Root]:
        """Yields copies of `settings` with this setting changed, removed, or set if it was not.

        The copies obey the validators of the class that holds the setting, because a plan of two
        exclusive values would mislead. Patterns, ranges and references need not hold: a plan is
        built without them.
        """
        # A section has no other value, only the settings in it have. It can be removed.
        values = [] if self.section else [*_other_values(self.annotation, self.held)]
        for value in [*values, MISSING] if self.removable else values:
            changed = _with_value(settings, self.attributes, value)
            is_added_or_removed = value is MISSING or self.held is None
            if _breaks_a_rule(_get(changed, self.attributes[:-1])) or (
                is_added_or_removed and _breaks_a_rule(changed)
            ):
                continue
            yield changed

    def rename_key(self, settings: Root) -> Root | None:
        """Returns a copy in which the setting's own key ends in RENAMED.

        The key keeps its place among the others. Returns None for a key of the schema, which
        people cannot choose.
        """
        *parents, last = self.attributes
        mapping = _get(settings, tuple(parents))
        if not isinstance(mapping, dict):
            return None
        renamed = {f"{k}{RENAMED}" if k == last else k: child for k, child in mapping.items()}
        changed: Root = _with_value(settings, tuple(parents), renamed)
        return changed


def list_settings(settings: BaseModel) -> list[Setting]:
    """Returns every effective setting, and every section that can be removed, sorted by path."""
    return sorted(_walk(Setting(settings, type(settings))), key=lambda setting: setting.path)


def is_valid(settings: BaseModel) -> bool:
    """Returns True if a copy with another value would be accepted as it is in a file."""
    try:
        type(settings).model_validate(_to_plain(settings))
    except ValidationError:
        return False
    return True


def _breaks_a_rule(held: Any) -> bool:
    """Returns True if values exclude each other, as two sources of one volume do."""
    if not isinstance(held, BaseModel):
        return False
    try:
        type(held).model_validate(_to_plain(held))
    except ValidationError as exc:
        # A model validator's error has no location below the model itself.
        return any(not error["loc"] for error in exc.errors(include_url=False))
    return False


def _walk(setting: Setting) -> Iterator[Setting]:
    """Yields the settings at and below one: the leaves, and what can be removed as a whole."""
    if not setting.section or setting.removable:
        yield setting
    for child in setting.list_children():
        yield from _walk(child)


def _to_plain(held: Any) -> Any:
    """Returns plain data as in YAML, with only the keys that were set."""
    if isinstance(held, BaseModel):
        return {
            field.alias or name: _to_plain(getattr(held, name))
            for name, field in type(held).model_fields.items()
            if name in held.model_fields_set
        }
    if isinstance(held, dict):
        return {key: _to_plain(child) for key, child in held.items()}
    return [_to_plain(item) for item in held] if isinstance(held, tuple | list) else held


def _union_members(annotation: Any) -> tuple[Any, ...]:
    """Returns the members of a union without annotations; a type that is not a union itself."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return _union_members(get_args(annotation)[0])
    if origin in (Literal, dict, tuple, list) or not get_args(annotation):
        return (annotation,)
    return tuple(member for part in get_args(annotation) for member in _union_members(part))


def _item_type(annotation: Any) -> Any:
    """Returns the type of the items of a mapping or list type."""
    for member in _union_members(annotation):
        if get_origin(member) is dict:
            return get_args(member)[1]
        if get_origin(member) in (tuple, list):
            return get_args(member)[0]
    return Any


def _other_values(annotation: Any, held: Any) -> Iterator[Any]:
    """Yields other values of the same type.

    Numbers get several. A single one could round to the same result: 10 % and 11 % of three
    replicas are both one Pod.
    """
    for member in _union_members(annotation):
        if get_origin(member) is Literal and held is not None:
            yield from (choice for choice in get_args(member) if choice != held)
            return
    if held is None:
        for member in _union_members(annotation):
            yield from _list_samples(member)
    elif isinstance(held, bool):
        yield not held
    elif isinstance(held, int | float):
        # 11 becomes 12, 121 and 10: at least one of them passes a rounding or a limit that hides
        # the others.
        yield from (other for other in (held + 1, held * 10 + 11, held - 1) if other >= 0)
    elif isinstance(held, str):
        yield from _other_texts(held)
    elif isinstance(held, dict):
        yield {"x": _make_sample(_item_type(annotation))}
    elif isinstance(held, tuple | list):
        yield from ([held[:0]] if held else [])
        yield type(held)([*held, held[-1] if held else _make_sample(_item_type(annotation))])


def _other_texts(text: str) -> Iterator[str]:
    if _PERCENTAGE.fullmatch(text):
        yield from (other for other in ("100%", "1%", "50%") if other != text)
    elif number := _NUMBER.match(text):
        yield f"{int(number.group()) + 1}{text[number.end() :]}"
    else:
        yield f"{text}x"


def _list_samples(member: Any) -> Iterator[Any]:
    """Yields values for a setting that is not set.

    A settings class gets one with its defaults, because a probe with the defaults may equal the
    probe that is built where none is set, and would seem to have no effect. So it also gets one
    for each of its settings, with this one changed: together the changes may break a rule.
    """
    if member is type(None):
        return
    sample = _make_sample(member)
    yield sample
    if isinstance(sample, BaseModel):
        for name, field in type(sample).model_fields.items():
            value = getattr(sample, name)
            others = [*islice(_other_values(field.annotation, value), 1 if value is None else 2)]
            yield from (sample.model_copy(update={name: other}) for other in others[-1:])


def _make_sample(annotation: Any) -> Any:
    """Returns a value of a type; of a settings class one with only the required keys."""
    member = _union_members(annotation)[0]
    if isinstance(member, type) and issubclass(member, BaseModel):
        fields = member.model_fields.items()
        required = {n: _make_sample(field.annotation) for n, field in fields if field.is_required()}
        return member.model_construct(**required)
    if get_origin(member) is Literal:
        return get_args(member)[0]
    if get_origin(member) is dict:
        return {"x": _make_sample(_item_type(member))}
    if get_origin(member) in (tuple, list):
        return get_origin(member)([_make_sample(_item_type(member))])
    return {int: 1, bool: True, float: 1.0}.get(member, "x")


def _get(held: Any, attributes: tuple[str, ...]) -> Any:
    for name in attributes:
        held = held[name] if isinstance(held, dict) else getattr(held, name)
    return held


def _with_value(held: Any, attributes: tuple[str, ...], value: Any) -> Any:
    head, rest = attributes[0], attributes[1:]
    if isinstance(held, BaseModel):
        child = _with_value(getattr(held, head), rest, value) if rest else value
        return held.model_copy(update={head: None if child is MISSING else child})
    child = _with_value(held[head], rest, value) if rest else value
    changed = {**held, head: child}
    return {key: child for key, child in changed.items() if child is not MISSING}
