"""Finds values that equal the value they override, so that their line could be removed.

For example, `replicas: 2` of a model repeats `replicas: 2` of `_defaults`. Whether the line is
superfluous is decided over all models and environments (`facts.py`): a profile may override a value
for one model and repeat it for another.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Any

from framework.catalog import CatalogModel
from framework.core.diagnostics import KeyPath, Position
from framework.core.field_paths import MISSING, FieldPath, get_at
from framework.layers import Layer, Merged, Shape
from framework.plan.checks.facts import Repeat
from framework.settings.messages import show

_CANDIDATE = ("canary", "candidate")


def find_repeats(model: CatalogModel) -> dict[Repeat, tuple[Position, str]]:
    """Maps each repeated value to the position and the text of the value that it repeats."""
    repeats = dict(_find_repeats(model.merged))
    if model.candidate_merged:
        # The candidate's layers are also part of the stable settings, as written, with nothing
        # below them. They are compared in the candidate's own merge, over the stable settings.
        first = len(model.merged.layers)
        repeats |= dict(_find_repeats(model.candidate_merged, first, _CANDIDATE))
    return repeats


def _find_repeats(
    merged: Merged, first: int = 0, prefix: KeyPath = ()
) -> Iterator[tuple[Repeat, tuple[Position, str]]]:
    """Yields each repeated value with the position and text of the value that it repeats.

    `first` is the index of the first layer whose values are reported. `prefix` is put before the
    path that messages name.
    """
    layers = merged.layers
    for path, positions in merged.origins.items():
        if len(positions) < 2 or path[: len(_CANDIDATE)] == _CANDIDATE:
            continue
        ranks = {
            layer.value_position(path): rank
            for rank, layer in enumerate(layers)
            if get_at(layer.data, path) is not MISSING
        }
        for lower, upper in pairwise(positions):
            if lower not in ranks or ranks.get(upper, -1) < first:
                continue
            below, above = layers[ranks[lower]], layers[ranks[upper]]
            value = above.value(path)
            # The `overrides` of an environment are never superfluous: they also apply to what
            # models will set in the future, so they may equal what every model sets today.
            if above.prefix == ("overrides",) or isinstance(value, dict):
                continue
            # Compared as JSON: 1 and true are equal in Python.
            texts = {json.dumps(v, sort_keys=True) for v in (value, below.value(path))}
            if len(texts) > 1:
                continue
            # `tag: v1` over `tag: v1` is not a repeat if a layer between them changes the
            # repository: without the second tag, a change of the first one would give the other
            # repository a tag it never had.
            units = [
                _merge_unit(path, layers[: ranks[position] + 1]) for position in (lower, upper)
            ]
            if units[0] == units[1]:
                repeat = Repeat(upper, str(FieldPath((*prefix, *path))))
                yield repeat, (lower, show(path, value))


def _reference_around(path: KeyPath) -> KeyPath:
    """Returns the mapping around a setting whose keys name one thing together, () for others."""
    if path[0] in ("image", "ingress") and len(path) > 1:
        return path[:1]
    for index, key in enumerate(path[:-2]):
        if key in ("env", "envFrom", "volumes", "allowFrom", "allowTo"):
            return path[: index + 2]
    return ()


def _merge_unit(path: KeyPath, layers: Iterable[Layer]) -> dict[KeyPath, Any]:
    """Merges the mapping around a setting whose keys name one thing together; {} for others."""
    unit = _reference_around(path)
    return {
        entry.path: layer.value(entry.path)
        for layer in (layers if unit else ())
        for entry in layer.entries
        if entry.path[: len(unit)] == unit and entry.shape is not Shape.MAPPING
    }
