"""The images a Pod runs and mounts, each taken apart and with the setting that names it.

Kept apart from the rules about images: what an image without a registry means is decided here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from framework.core.diagnostics import KeyPath
from framework.core.field_paths import ItemKey
from framework.plan.checks.tracks import (
    CheckedTrack,
    find_patched,
    list_containers,
    mapping_in,
    mappings_in,
)

_DEFAULT_REGISTRY = "docker.io"


@dataclass(frozen=True)
class Image:
    """One image; `repository` begins with its registry, `tag` and `digest` are "" where unsaid.
    `setting` says its version and `named` its repository; often one text says both."""

    setting: KeyPath
    named: KeyPath
    reference: str
    repository: str
    tag: str
    digest: str

    def comes_from(self, source: str) -> bool:
        """True for an image of a registry, or of a folder of one."""
        return self.repository.startswith(source.rstrip("/") + "/")


def list_images(track: CheckedTrack) -> Iterator[Image]:
    """Every image of a track: containers, init containers, sidecars and image volumes."""
    for setting, steps, fields in list_containers(track):
        reference = str(fields.get("image", ""))
        if setting:
            yield parse_image(
                find_patched(track, *steps, "image") or (*setting, "image"), reference
            )
            continue
        said = ("image", "tag")
        version = said if said in track.merged.origins else ("image",)
        yield replace(parse_image(version, reference), named=("image", "repository"))
    for volume in mappings_in(track.pod, "volumes"):
        if mounted := mapping_in(volume, "image").get("reference"):
            owner = str(volume.get("name"))
            patched = find_patched(track, "volumes", ItemKey(owner), "image", "reference")
            yield parse_image(patched or ("volumes", owner, "image"), str(mounted))


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
    return Image(setting, setting, reference, repository, tag, digest)
