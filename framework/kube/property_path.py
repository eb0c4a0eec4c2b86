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


def find_paths(objects: Iterable[Any], paths: Iterable[str]) -> list[tuple[Step, ...]]:
    """Returns the steps of each path. A path with "*" is all that it matches in these objects.

    In the order in which they can be removed: higher indexes first, because the items after a
    removed one move to lower indexes.
    """
    objects = tuple(objects)
    found = set[tuple[Step, ...]]()
    for steps in map(parse_path, paths):
        if ANY in steps:
            found.update(path for obj in objects for path in _expand(obj, steps))
        else:
            found.add(steps)
    return sorted(found, key=lambda steps: [_build_key(step) for step in steps], reverse=True)


def _build_key(step: Step) -> tuple[int, str]:
    return (step, "") if isinstance(step, int) else (-1, step)


def _expand(obj: Any, steps: tuple[Step, ...]) -> Iterator[tuple[Step, ...]]:
    if not steps:
        yield ()
        return
    head, rest = steps[0], steps[1:]
    if head == ANY:
        # A path with "*" names nothing in an object without the list or mapping.
        keys: Iterable[Step] = range(len(obj)) if isinstance(obj, list) else list(obj or ())
    else:
        keys = (head,)
    for key in keys:
        child = get_at(obj, (key,))
        if child is not MISSING:
            yield from ((key, *path) for path in _expand(child, rest))


def with_ignored(
    new: Mapping[str, Any], old: Mapping[str, Any], paths: Iterable[str]
) -> dict[str, Any]:
    """Returns the new inputs with the value of the old inputs at every ignored path.

    If the old inputs have no value there, the new ones have none either.
    """
    result: dict[str, Any] = deepcopy(dict(new))
    for steps in find_paths((old, new), paths):
        value = get_at(old, steps)
        if value is MISSING:
            drop_at(result, steps)
        else:
            _put_at(result, steps, deepcopy(value))
    return result


def without_ignored(shape: Mapping[str, Any], live: Any, paths: Iterable[str]) -> dict[str, Any]:
    """Returns a copy of the shape without the ignored paths; "*" matches in both objects."""
    result: dict[str, Any] = deepcopy(dict(shape))
    for steps in find_paths((live, shape), paths):
        drop_at(result, steps)
    return result


def drop_at(obj: dict[str, Any], steps: tuple[Step, ...]) -> None:
    """Removes the value at a path; does nothing where there is none."""
    if get_at(obj, steps) is not MISSING:
        del get_at(obj, steps[:-1])[steps[-1]]


def _put_at(obj: dict[str, Any], steps: tuple[Step, ...], value: Any) -> None:
    parent: Any = obj
    for step in steps[:-1]:
        if isinstance(parent, dict) and isinstance(step, str):
            # The new inputs may have dropped the mapping that the ignored field is in.
            parent = parent.setdefault(step, {})
        else:
            parent = get_at(parent, (step,))
    # A list item that the new inputs dropped stays dropped: it cannot hold an ignored field.
    if isinstance(parent, dict) or get_at(parent, (steps[-1],)) is not MISSING:
        parent[steps[-1]] = value
