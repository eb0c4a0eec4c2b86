"""What each layer wrote of one model's settings, of its candidate's and of its environment's.

Kept apart from explaining, which says what won and why: this only looks values up.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

from framework.catalog import Catalog, CatalogModel
from framework.core.diagnostics import KeyPath, Position
from framework.layers import Layer, Merged
from framework.settings.base import Settings

CANDIDATE, ENVIRONMENT = "candidate", "environment"
# What a source has and does not use: an environment's layers over models are those models' own, and
# a candidate has no canary.
NOT_OWN = {ENVIRONMENT: frozenset({"defaults", "overrides"}), CANDIDATE: frozenset({"canary"})}


class Writing(NamedTuple):
    """What one layer says: where in the settings, what, and where in the file."""

    path: KeyPath
    value: Any
    position: Position

    @property
    def shown_position(self) -> str:
        """`file:line:column`, or the name alone of what has no lines."""
        return str(self.position) if self.position.line else self.position.path


@dataclass(frozen=True, eq=False)
class Source:
    """Settings and their layers; their keys stand below `prefix`, "" for the model's own."""

    prefix: str
    settings: Settings
    merged: Merged

    def key(self, path: Iterable[str | int]) -> str:
        """`candidate.image.tag` for `image.tag` of the candidate."""
        return ".".join(map(str, [self.prefix, *path] if self.prefix else path))

    def list_writings(self, path: KeyPath) -> tuple[Writing, ...]:
        """What each layer says at a path, or at a parent that it writes as no mapping; oldest
        first."""
        found = (_find_writing(layer, path) for layer in self.merged.layers)
        return tuple(writing for writing in found if writing)


def list_sources(catalog: Catalog, model: CatalogModel) -> tuple[Source, ...]:
    """The model's own settings, its candidate's if it has one, and its environment's."""
    sources = [Source("", model.settings, model.merged)]
    if model.candidate and model.candidate_merged:
        sources.append(Source(CANDIDATE, model.candidate, model.candidate_merged))
    home = f"environments/{catalog.environment_name}/environment.yaml"
    for layer in model.merged.layers:
        if layer.document.path == home:
            whole = Layer(layer.document, (), NOT_OWN[ENVIRONMENT])
            merged = Merged(whole.data, {}, (whole,))
            sources.append(Source(ENVIRONMENT, catalog.environment, merged))
            break
    return tuple(sources)


def _find_writing(layer: Layer, path: KeyPath) -> Writing | None:
    value: Any = layer.data
    for depth, part in enumerate(path, start=1):
        if not isinstance(value, dict) or part not in value:
            return None
        value = value[part]
        if depth == len(path) or not isinstance(value, dict):
            return Writing(path[:depth], value, layer.value_position(path[:depth]))
    return None
