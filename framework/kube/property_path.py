"""Pulumi's property paths, such as those of ignoreChanges: `metadata.annotations["a.b/c"]`.

Kept apart because the syntax is Pulumi's (sdk/go/common/resource/property_path.go), while what is
found at a path is Kubernetes'.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from copy import deepcopy
from typing import Any

from framework.core.errors import EngineError

Step = str | int
STEP = re.compile(r'\.?([^.\[\]"]+)|\.?\[(\d+|\*)\]|\.?\["((?:[^"\\]|\\.)*)"\]')
ANY = "*"


class _Missing:
    def __repr__(self) -> str:
        return "MISSING"


MISSING = _Missing()
"""What is found where an object has nothing; None may be a value."""


def parse_path(text: str) -> tuple[Step, ...]:
    """The steps of a path: a key, an index, or "*" for every item."""
    steps: list[Step] = []
    at = 0
    while at < len(text):
        match = STEP.match(text, at)
        if match is None:
            raise EngineError(
                f'ignoreChanges: "{text}" is no property path (at character {at + 1}); write it as '
                'spec.replicas, spec.list[0] or metadata.annotations["a.b/c"]'
            )
        key, index, quoted = match.groups()
        if index is not None:
            steps.append(ANY if index == ANY else int(index))
        else:
            steps.append(key if quoted is None else quoted.replace('\\"', '"'))
        at = match.end()
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


def get_at(obj: Any, steps: tuple[Step, ...]) -> Any:
    """The value at a path, MISSING where there is none."""
    for step in steps:
        if not _has(obj, step):
            return MISSING
        obj = obj[step]
    return obj


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
