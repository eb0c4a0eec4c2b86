"""What the files say in vain: it stops nothing, and is told to whoever tidies up.

Kept apart from faults because a file of the catalog serves several environments: a value that
repeats the one below it here may well change it elsewhere. So each environment's part is counted
by itself, and what is in catalog/ is judged over all of them.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, NamedTuple

from framework.catalog import Catalog, CatalogModel
from framework.core.diagnostics import Code, Diagnostic, KeyPath, Position
from framework.core.field_paths import FieldPath
from framework.layers import Layer, Merged
from framework.plan.checks.one_model import ModelFacts
from framework.plan.checks.waivers import HeldWaiver, find_useless
from framework.settings.messages import show

_CANDIDATE = ("canary", "candidate")


class Repeat(NamedTuple):
    """A value, by its place and setting, that equals the one it overrides."""

    position: Position
    path: KeyPath


@dataclass(frozen=True)
class Usage:
    """What the files do in one environment; plain data.

    `files` counts the models that each file is a layer of, `repeats` those in which a value
    repeats the one below, `below` is one such place, with the value as it may be shown. `complete`
    is False where faults or a narrowed run left models out.
    """

    environment: str
    files: Mapping[str, int]
    repeats: Mapping[Repeat, int]
    below: Mapping[Repeat, tuple[Position, str]]
    waivers: tuple[HeldWaiver, ...]
    complete: bool


def find_warnings(catalog: Catalog, usage: Usage) -> list[Diagnostic]:
    """What one environment's own files say in vain, and profiles that no model lists; `usage` is
    the catalog's."""
    found = [
        Position(path, 1, 1).diagnostic(
            Code.UNUSED_PROFILE, "no model lists this profile; remove it"
        )
        for path in catalog.unused_profiles
    ]
    found += [
        Position(path, 1, 1).diagnostic(
            Code.DISABLED_OVERLAY,
            "changes nothing: the model does not run here (enabled: false); remove it",
        )
        for path in catalog.idle_overlays
    ]
    if usage.complete:
        found += _find_repeats(usage, f"environments/{catalog.environment_name}/")
    return sorted(found)


def find_shared_warnings(usages: Iterable[Usage]) -> list[Diagnostic]:
    """What files of the catalog say in vain in every environment; `usages` has them all.

    A waiver that waives nothing anywhere is among it, and is a fault. Nothing is said where a usage
    is not complete: a model that is left out may need what the others do not.
    """
    listed = list(usages)
    if not all(usage.complete for usage in listed):
        return []
    total = add_usages("", listed, complete=True)
    folder = "catalog/"
    return sorted([*_find_repeats(total, folder), *find_useless(total.waivers, folder)])


def build_usage(catalog: Catalog, facts: Iterable[ModelFacts]) -> Usage:
    """One environment's part in the judgement over all."""
    name, complete = catalog.environment_name, catalog.complete and not catalog.diagnostics
    usage = add_usages(name, map(_build_of_model, catalog.models), complete=complete)
    return replace(usage, waivers=tuple(waiver for one in facts for waiver in one.waivers))


def add_usages(environment: str, usages: Iterable[Usage], *, complete: bool) -> Usage:
    """What several usages, of models or of environments, come to."""
    files: Counter[str] = Counter()
    repeats: Counter[Repeat] = Counter()
    below: dict[Repeat, tuple[Position, str]] = {}
    waivers: list[HeldWaiver] = []
    for usage in usages:
        files.update(usage.files)
        repeats.update(usage.repeats)
        for repeat, found in usage.below.items():
            below[repeat] = min(below.get(repeat, found), found)
        waivers += usage.waivers
    return Usage(environment, files, repeats, below, tuple(waivers), complete)


def _build_of_model(model: CatalogModel) -> Usage:
    files = dict.fromkeys((layer.document.path for layer in model.merged.layers), 1)
    below = dict(_list_repeats(model))
    return Usage("", files, dict.fromkeys(below, 1), below, (), complete=True)


def _list_repeats(model: CatalogModel) -> Iterator[tuple[Repeat, tuple[Position, str]]]:
    if model.candidate_merged is None:
        yield from _repeats_of(model.merged, model.merged.layers)
        return
    # The candidate's own layers stand in the stable settings too, as written, over nothing.
    for repeat, below in _repeats_of(model.merged, model.merged.layers):
        if repeat.path[:2] != _CANDIDATE:
            yield repeat, below
    own = model.candidate_merged.layers[len(model.merged.layers) :]
    for repeat, below in _repeats_of(model.candidate_merged, model.candidate_merged.layers):
        if any(layer.value_position(repeat.path) == repeat.position for layer in own):
            yield Repeat(repeat.position, (*_CANDIDATE, *repeat.path)), below


def _repeats_of(
    merged: Merged, layers: Iterable[Layer]
) -> Iterator[tuple[Repeat, tuple[Position, str]]]:
    listed = tuple(layers)
    for path, positions in merged.origins.items():
        if len(positions) < 2:
            continue
        written = _written(path, listed)
        for lower, upper in pairwise(positions):
            value, promised = written.get(upper, (None, True))
            if promised or isinstance(value, dict) or lower not in written:
                continue
            if _same(value, written[lower][0]):
                yield Repeat(upper, path), (lower, show(path, value))


def _written(path: KeyPath, layers: Iterable[Layer]) -> dict[Position, tuple[Any, bool]]:
    """What each layer writes at `path`, by its place; True where it is a promise: what an
    environment lays over every model holds whatever the models say, tomorrow too."""
    found = {}
    for layer in layers:
        full = (*layer.prefix, *path)
        if position := layer.document.value_positions.get(full):
            value: Any = layer.document.data
            for key in full:
                value = value[key]
            found[position] = (value, layer.prefix == ("overrides",))
    return found


def _same(one: Any, other: Any) -> bool:
    # 1 and true are equal in Python, and no repetition.
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


def _find_repeats(usage: Usage, folder: str) -> Iterator[Diagnostic]:
    """Values below `folder` that repeat what is below them in every model they reach."""
    for repeat, count in usage.repeats.items():
        if repeat.position.path.startswith(folder) and count == usage.files[repeat.position.path]:
            position, shown = usage.below[repeat]
            message = f"{FieldPath(repeat.path)} is {shown} already ({position}); remove it here"
            yield repeat.position.diagnostic(Code.SAME_VALUE, message)
