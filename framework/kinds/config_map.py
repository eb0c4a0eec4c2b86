"""ConfigMaps: the files of the containers of one track, from their `config.files`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from framework.core.kind_rules import KindRules
from framework.kinds.kind import Kind, Manifest, TrackInput
from framework.kinds.naming import content_hash
from framework.settings.reserved import MODEL_CONTAINER

if TYPE_CHECKING:
    from framework.settings.container import ConfigFiles


def list_configs(track: TrackInput) -> dict[str, ConfigFiles]:
    """Returns the config files of each container that has some, by the name of the container."""
    settings = track.settings
    containers = {MODEL_CONTAINER: settings, **settings.init_containers, **settings.sidecars}
    return {name: container.config for name, container in containers.items() if container.config}


def config_map_name(track: TrackInput, container: str, config: ConfigFiles) -> str:
    """Returns the name of a container's ConfigMap, which contains a hash unless it is fixed."""
    if config.name:
        # The two tracks have different files, so they cannot share one object.
        return config.name if track.track == "stable" else f"{config.name}-canary"
    name = _logical_name(track, container)
    return f"{name}-{content_hash(config.files)}" if config.roll_on_change else name


def rolled_files_hash(track: TrackInput) -> str:
    """Returns a hash of the files whose change must replace the Pods although the name of their
    ConfigMap does not change; "" where there are none."""
    files = {
        container: config.files
        for container, config in sorted(list_configs(track).items())
        if config.name and config.roll_on_change
    }
    return content_hash(files) if files else ""


def build(track: TrackInput) -> Iterator[Manifest]:
    """Builds a ConfigMap for each container of a track that has files."""
    for container, config in sorted(list_configs(track).items()):
        yield Manifest(
            _logical_name(track, container),
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": track.build_metadata(name=config_map_name(track, container, config)),
                "data": dict(config.files),
            },
            used_by_pods=True,
            track=track.track,
            part=container,
        )


def _logical_name(track: TrackInput, container: str) -> str:
    name = f"{track.name}-config"
    return name if container == MODEL_CONTAINER else f"{name}-{container}"


_FROM_FILES = "it is built from the settings; set config.files"

KIND = Kind(
    # The program lets the provider update ConfigMaps in place: one of a fixed name must not
    # disappear while Pods use it. One with a hash in its name is replaced by its name.
    rules=KindRules("", "ConfigMap", propagation="Background"),
    build=build,
    enabled_by="give it config.files",
    per_track=True,
    protected={
        "data": _FROM_FILES,
        "binaryData": "its name is a hash of its data; use a ConfigMap of your own",
        "immutable": "a change of its files could not be applied",
    },
)
