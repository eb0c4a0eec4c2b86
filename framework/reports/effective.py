"""Effective settings one by one, the schema's defaults too, and copies with one of them changed.

Kept apart from explaining: this knows the settings' classes, and neither files nor manifests.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin

from pydantic import BaseModel, ValidationError

Root = TypeVar("Root", bound=BaseModel)

# Ends a renamed key; in no path or value otherwise.
RENAMED = "-renamed"
_NUMBER = re.compile(r"\d+")
_PERCENTAGE = re.compile(r"\d+%")


class _Removed:
    pass


_REMOVED = _Removed()


@dataclass(frozen=True, eq=False)
class Setting:
    """One setting: a single value, a list, an empty mapping, or (`section`) a mapping that can go.

    `value` is plain data; `default` says that no file gives it.
    """

    path: tuple[str, ...]
    value: Any
    default: bool
    section: bool
    _steps: tuple[str, ...]
    _held: Any
    _annotation: Any
    _removable: bool

    def alternatives(self, settings: Root) -> Iterator[Root]:
        """Copies of `settings` with this one changed, removed, or set where it is not.

        The rules of the class it stands in hold, and for what comes or goes the whole's; patterns,
        ranges and names of other settings, which the plan is built without, need not.
        """
        values: list[Any] = [] if self.section else [*_other_values(self._annotation, self._held)]
        for value in [*values, _REMOVED] if self._removable else values:
            changed = _with(settings, self._steps, value)
            moves = value is _REMOVED or self._held is None
            if _breaks_a_rule(_at(changed, self._steps[:-1])) or (
                moves and _breaks_a_rule(changed)
            ):
                continue
            yield changed

    def renamed(self, settings: Root) -> Root | None:
        """A copy in which the key this stands under ends in RENAMED, in its place among the others;
        None where nobody chose the key."""
        *above, last = self._steps
        held = _at(settings, tuple(above))
        if not isinstance(held, dict):
            return None
        kept = {f"{key}{RENAMED}" if key == last else key: child for key, child in held.items()}
        changed: Root = _with(settings, tuple(above), kept)
        return changed


def list_settings(settings: BaseModel, *, sections: bool = False) -> tuple[Setting, ...]:
    """Every effective setting, by path; with `sections` also the mappings that can be removed."""
    found = _walk(settings, type(settings), (), (), default=False, removable=False)
    return tuple(
        sorted((one for one in found if sections or not one.section), key=lambda one: one.path)
    )


def _breaks_a_rule(held: Any) -> bool:
    """True where values exclude each other, as two sources of one volume do."""
    if not isinstance(held, BaseModel):
        return False
    try:
        type(held).model_validate(_plain(held))
    except ValidationError as exc:
        return any(not error["loc"] for error in exc.errors(include_url=False))
    return False


def _walk(
    held: Any,
    annotation: Any,
    path: tuple[str, ...],
    steps: tuple[str, ...],
    *,
    default: bool,
    removable: bool,
) -> Iterator[Setting]:
    deeper = isinstance(held, BaseModel) or (isinstance(held, dict) and bool(held))
    if not deeper or removable:
        plain = _plain(held)
        yield Setting(path, plain, default, deeper, steps, held, annotation, removable)
    if isinstance(held, BaseModel):
        for name, field in type(held).model_fields.items():
            child = getattr(held, name)
            yield from _walk(
                child,
                field.annotation,
                (*path, field.alias or name),
                (*steps, name),
                default=default or name not in held.model_fields_set,
                removable=child is not None and type(None) in _arms(field.annotation),
            )
    elif deeper:
        of = _item_type(annotation)
        for key, child in held.items():
            yield from _walk(
                child, of, (*path, key), (*steps, key), default=default, removable=True
            )


def _plain(held: Any) -> Any:
    """Plain data, as YAML has it: only what was given."""
    if isinstance(held, BaseModel):
        return {
            field.alias or name: _plain(getattr(held, name))
            for name, field in type(held).model_fields.items()
            if name in held.model_fields_set
        }
    if isinstance(held, dict):
        return {key: _plain(child) for key, child in held.items()}
    return [_plain(item) for item in held] if isinstance(held, tuple | list) else held


def _arms(annotation: Any) -> tuple[Any, ...]:
    """What a union may be, without annotations; the type itself where it is no union."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return _arms(get_args(annotation)[0])
    if origin in (Literal, dict, tuple, list) or not get_args(annotation):
        return (annotation,)
    return tuple(arm for part in get_args(annotation) for arm in _arms(part))


def _item_type(annotation: Any) -> Any:
    """What a mapping or list of this type holds."""
    for arm in _arms(annotation):
        if get_origin(arm) is dict:
            return get_args(arm)[1]
        if get_origin(arm) in (tuple, list):
            return get_args(arm)[0]
    return Any


def _other_values(annotation: Any, held: Any) -> Iterator[Any]:
    """Values of the same type: several, so that rounding cannot hide what depends on one."""
    for arm in _arms(annotation):
        if get_origin(arm) is Literal and held is not None:
            yield from (choice for choice in get_args(arm) if choice != held)
            return
    if held is None:
        yield from (one for arm in _arms(annotation) for one in _list_samples(arm))
    elif isinstance(held, bool):
        yield not held
    elif isinstance(held, int | float):
        yield from (other for other in (held + 1, held * 10 + 11, held - 1) if other >= 0)
    elif isinstance(held, str):
        yield from _other_texts(held)
    elif isinstance(held, dict):
        yield {"x": _sample(_item_type(annotation))}
    elif isinstance(held, tuple | list):
        yield from ([held[:0]] if held else [])
        yield type(held)([*held, held[-1] if held else _sample(_item_type(annotation))])


def _other_texts(text: str) -> Iterator[str]:
    if _PERCENTAGE.fullmatch(text):
        yield from (other for other in ("100%", "1%", "50%") if other != text)
    elif number := _NUMBER.match(text):
        yield f"{int(number.group()) + 1}{text[number.end() :]}"
    else:
        yield f"{text}x"


def _list_samples(arm: Any) -> Iterator[Any]:
    """Values of what is not set: of a model both its defaults and none of them, for one that takes
    another's place may have the same."""
    if arm is type(None):
        return
    sample = _sample(arm)
    yield sample
    if isinstance(sample, BaseModel):
        other = {
            name: others[-1]
            for name, field in type(sample).model_fields.items()
            if (others := [*_other_values(field.annotation, getattr(sample, name))][:2])
            and getattr(sample, name) not in (None, {}, ())
        }
        yield sample.model_copy(update=other)


def _sample(annotation: Any) -> Any:
    """Some value of a type: of a model, what it requires."""
    arm = _arms(annotation)[0]
    if isinstance(arm, type) and issubclass(arm, BaseModel):
        fields = arm.model_fields.items()
        return arm.model_construct(
            **{name: _sample(field.annotation) for name, field in fields if field.is_required()}
        )
    if get_origin(arm) is Literal:
        return get_args(arm)[0]
    if get_origin(arm) is dict:
        return {"x": _sample(_item_type(arm))}
    if get_origin(arm) in (tuple, list):
        return get_origin(arm)([_sample(_item_type(arm))])
    return {int: 1, bool: True, float: 1.0}.get(arm, "x")


def _at(held: Any, steps: tuple[str, ...]) -> Any:
    for step in steps:
        held = held[step] if isinstance(held, dict) else getattr(held, step)
    return held


def _with(held: Any, steps: tuple[str, ...], value: Any) -> Any:
    head, rest = steps[0], steps[1:]
    if isinstance(held, BaseModel):
        child = _with(getattr(held, head), rest, value) if rest else value
        return held.model_copy(update={head: None if child is _REMOVED else child})
    child = _with(held[head], rest, value) if rest else value
    changed = {**held, head: child}
    return {key: one for key, one in changed.items() if one is not _REMOVED}
