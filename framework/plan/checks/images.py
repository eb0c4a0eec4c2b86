"""The images a Pod runs and mounts, each taken apart and with the setting that names it.

Kept apart from the rules about images: what an image without a registry means is decided here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from framework.plan.checks.tracks import CheckedTrack, list_containers, mapping_in, mappings_in
from framework.sources import KeyPath

_DEFAULT_REGISTRY = "docker.io"


@dataclass(frozen=True)
class Image:
    """One image; `repository` begins with its registry, `tag` and `digest` are "" where unsaid."""

    setting: KeyPath
    reference: str
    repository: str
    tag: str
    digest: str

    def comes_from(self, source: str) -> bool:
        """True for an image of a registry, or of a folder of one."""
        return self.repository.startswith(source.rstrip("/") + "/")


def list_images(track: CheckedTrack) -> Iterator[Image]:
    """Every image of a track: containers, init containers, sidecars and image volumes."""
    for owner, container in list_containers(track):
        if owner:
            yield parse_image((*owner, "image"), str(container.get("image", "")))
            continue
        said = ("image", "tag")
        setting = said if said in track.merged.origins else ("image",)
        yield parse_image(setting, str(container.get("image", "")))
    for volume in mappings_in(track.pod, "volumes"):
        if reference := mapping_in(volume, "image").get("reference"):
            yield parse_image(("volumes", str(volume.get("name")), "image"), str(reference))


def parse_image(setting: KeyPath, reference: str) -> Image:
    """Take a reference apart as container runtimes do: `nginx` is `docker.io/library/nginx`."""
    name, _, digest = reference.partition("@")
    folder, slash, last = name.rpartition("/")
    last, _, tag = last.partition(":")
    repository = f"{folder}{slash}{last}"
    first = repository.partition("/")[0]
    if not slash:
        repository = f"{_DEFAULT_REGISTRY}/library/{repository}"
    elif not (set(".:") & set(first) or first == "localhost"):
        repository = f"{_DEFAULT_REGISTRY}/{repository}"
    return Image(setting, reference, repository, tag, digest)
