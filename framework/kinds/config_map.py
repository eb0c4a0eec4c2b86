"""ConfigMap: the files of one track, from `config.files`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from framework.core.kind_rules import KindRules
from framework.kinds.kind import Kind, Manifest, TrackInput
from framework.kinds.naming import hashed_name

if TYPE_CHECKING:
    from framework.settings.model import Model


def config_map_name(track: str, settings: Model) -> str | None:
    """Returns the content-hashed name of a track's ConfigMap, or None where it has no files."""
    return hashed_name(f"{track}-config", settings.config.files) if settings.config else None


def build(track: TrackInput) -> Iterator[Manifest]:
    """Builds the ConfigMap of a track that has files."""
    config, name = track.settings.config, config_map_name(track.name, track.settings)
    if config and name:
        yield Manifest(
            f"{track.name}-config",
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": track.build_metadata(name=name),
                "data": dict(config.files),
            },
            used_by_pods=True,
        )


KIND = Kind(
    rules=KindRules("", "ConfigMap", replaced_by=("data", "binaryData"), propagation="Background"),
    build=build,
    enabled_by="give it config.files",
    per_track=True,
    protected={
        "data": "its name is a hash of it; set config.files",
        "binaryData": "its name is a hash of its data; use a ConfigMap of your own",
    },
)
