"""Finds values that equal the value they override, so that their line could be removed.

For example, `replicas: 2` of a model repeats `replicas: 2` of `_defaults`. Whether the line is
superfluous is decided over all models and environments (`facts.py`): a profile may override a value
for one model and repeat it for another.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from framework.catalog import CatalogModel
from framework.core.diagnostics import KeyPath, Position
from framework.core.field_paths import MISSING, FieldPath, get_at
from framework.layers import Layer, Merged, Shape
from framework.plan.checks.facts import Repeat
from framework.settings.messages import show

_CANDIDATE = ("canary", "candidate")


@dataclass(frozen=True)
class _Written:
    """The value that one layer has at a path; `enforced` in the `overrides` of an environment."""

    value: Any
    enforced: bool


def find_repeats(model: CatalogModel) -> dict[Repeat, tuple[Position, str]]:
    """Maps each repeated value to the position and the text of the value that it repeats."""
    if model.candidate_merged is None:
        return dict(_find_repeats(model.merged))
    # The candidate's layers are also part of the stable settings, as written, with nothing below
    # them. They are compared in the candidate's own merge, where the stable settings are below.
    own = model.candidate_merged.layers[len(model.merged.layers) :]
    return {
        **dict(_find_repeats(model.merged, without=_CANDIDATE)),
        **dict(_find_repeats(model.candidate_merged, only=own, prefix=_CANDIDATE)),
    }


def _find_repeats(
    merged: Merged,
    *,
    without: KeyPath = (),
    only: tuple[Layer, ...] = (),
    prefix: KeyPath = (),
) -> Iterator[tuple[Repeat, tuple[Position, str]]]:
    """Yields each repeated value with the position and text of the value that it repeats.

    Leaves out paths that begin with `without`. `only`, if given, limits it to values of these
    layers. `prefix` is put before the path that messages name.
    """
    for path, positions in merged.origins.items():
        if len(positions) < 2 or (without and path[: len(without)] == without):
            continue
        written = _read_written(path, merged.layers)
        for lower, upper in pairwise(positions):
            if lower not in written or upper not in written:
                continue
            if only and not any(layer.value_position(path) == upper for layer in only):
                continue
            if _is_repeat(written[upper], written[lower]) and not _belongs_to_another(
                path, lower, upper, merged
            ):
                repeat = Repeat(upper, str(FieldPath((*prefix, *path))))
                yield repeat, (lower, show(path, written[upper].value))


def _is_repeat(upper: _Written, lower: _Written) -> bool:
    """Returns True if the upper value equals the lower one and has no other purpose.

    The `overrides` of an environment are never superfluous: they also apply to what models will
    set in the future, so they may equal what every model sets today.
    """
    if upper.enforced or isinstance(upper.value, dict):
        return False
    # Compared as JSON: 1 and true are equal in Python.
    texts = [json.dumps(written.value, sort_keys=True) for written in (upper, lower)]
    return texts[0] == texts[1]


def _belongs_to_another(path: KeyPath, lower: Position, upper: Position, merged: Merged) -> bool:
    """Returns True if the two values belong to different references, such as two images.

    `tag: v1` over `tag: v1` is not a repeat if a layer between them changes the repository: without
    the second tag, a change of the first one would give the other repository a tag it never had.
    """
    unit = _reference_around(path)
    if unit is None:
        return False
    positions = [layer.value_position(path) for layer in merged.layers]
    ranks = [positions.index(position) for position in (lower, upper)]
    before, after = (_merge_written(unit, merged.layers[: rank + 1]) for rank in ranks)
    return before != after


def _reference_around(path: KeyPath) -> KeyPath | None:
    """Returns the mapping around a setting whose keys name one thing together, None for others."""
    if path[0] in ("image", "ingress") and len(path) > 1:
        return path[:1]
    for index, key in enumerate(path[:-2]):
        if key in ("env", "envFrom", "volumes", "allowFrom", "allowTo"):
            return path[: index + 2]
    return None


def _merge_written(unit: KeyPath, layers: Iterable[Layer]) -> dict[KeyPath, Any]:
    merged: dict[KeyPath, Any] = {}
    for layer in layers:
        for entry in layer.entries:
            if entry.path[: len(unit)] == unit and entry.shape is not Shape.MAPPING:
                merged[entry.path] = layer.value(entry.path)
    return merged


def _read_written(path: KeyPath, layers: Iterable[Layer]) -> dict[Position, _Written]:
    """Returns the value that each layer has at `path`, by position."""
    written = {}
    for layer in layers:
        value = get_at(layer.data, path)
        if value is not MISSING:
            enforced = layer.prefix == ("overrides",)
            written[layer.value_position(path)] = _Written(value, enforced)
    return written
