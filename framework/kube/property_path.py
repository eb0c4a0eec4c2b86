"""Pulumi's property paths, such as those of ignoreChanges: `metadata.annotations["a.b/c"]`.

Their syntax (sdk/go/common/resource/property_path.go) is that of field paths, except that list
items go by index alone and "*" stands for every item or key.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from copy import deepcopy
from typing import Any

from framework.core.errors import EngineError
from framework.core.field_paths import MISSING, FieldPath, FieldPathError, ItemKey, get_at

Step = str | int
ANY = "*"


def parse_path(text: str) -> tuple[Step, ...]:
    """Returns the steps of a path: a key, an index, or "*" for every item. Raises EngineError."""
    steps: list[Step] = []
    try:
        for step in FieldPath.parse(text).steps:
            if isinstance(step, ItemKey) and step.text != ANY:
                raise FieldPathError(text, text.index(f"[{step}]") + 1)
            steps.append(step.text if isinstance(step, ItemKey) else step)
    except FieldPathError as exc:
        raise EngineError(
            f'ignoreChanges: "{text}" is not a valid property path (at character {exc.character}); '
            'write it as spec.replicas, spec.list[0] or metadata.annotations["a.b/c"]'
        ) from exc
    return tuple(steps)


def expand_path(objects: Iterable[Any], steps: tuple[Step, ...]) -> set[tuple[Step, ...]]:
    """The concrete paths of a pattern in any of these objects; the pattern itself without "*"."""
    if ANY not in steps:
        return {steps}
    return {path for obj in objects for path in _expand(obj, steps)}


def _expand(obj: Any, steps: tuple[Step, ...]) -> Iterator[tuple[Step, ...]]:
    if not steps:
        yield ()
        return
    head, rest = steps[0], steps[1:]
    if head == ANY:
        keys: Iterable[Step] = range(len(obj)) if isinstance(obj, list) else list(obj or ())
    else:
        keys = (head,)
    for key in keys:
        child = get_at(obj, (key,))
        if child is not MISSING:
            yield from ((key, *path) for path in _expand(child, rest))


def _has(obj: Any, step: Any) -> bool:
    if isinstance(obj, list):
        return isinstance(step, int) and step < len(obj)
    return isinstance(obj, Mapping) and step in obj


def with_ignored(
    new: Mapping[str, Any], old: Mapping[str, Any], paths: Iterable[str]
) -> dict[str, Any]:
    """The new inputs with the old inputs' value, or absence, at every ignored path."""
    result: dict[str, Any] = deepcopy(dict(new))
    for text in paths:
        for steps in expand_path((old, new), parse_path(text)):
            value = get_at(old, steps)
            if value is MISSING:
                drop_at(result, steps)
            else:
                _put_at(result, steps, deepcopy(value))
    return result


def drop_at(obj: dict[str, Any], steps: tuple[Step, ...]) -> None:
    """Remove what is at a path; nothing happens where there is nothing."""
    parent = get_at(obj, steps[:-1])
    if _has(parent, steps[-1]):
        del parent[steps[-1]]


def _put_at(obj: dict[str, Any], steps: tuple[Step, ...], value: Any) -> None:
    parent: Any = obj
    for step in steps[:-1]:
        if isinstance(parent, dict) and isinstance(step, str):
            parent = parent.setdefault(step, {})
        else:
            parent = get_at(parent, (step,))
    if isinstance(parent, dict) or _has(parent, steps[-1]):
        parent[steps[-1]] = value
