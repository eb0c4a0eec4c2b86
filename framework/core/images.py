"""Parses references of images as container runtimes do.

https://github.com/distribution/reference/blob/main/normalize.go
"""

from __future__ import annotations

from typing import NamedTuple

# Where container runtimes look for an image that names no registry.
_DEFAULT_REGISTRY = "docker.io"


class Image(NamedTuple):
    """The parts of a reference as written; `tag` and `digest` are "" where it has none."""

    repository: str
    tag: str
    digest: str

    @property
    def full_repository(self) -> str:
        """The repository with its registry: `docker.io/library/nginx` for `nginx`."""
        first, slash, _ = self.repository.partition("/")
        if not slash:
            return f"{_DEFAULT_REGISTRY}/library/{self.repository}"
        # The first part is a registry only where it looks like a host name: `acme/server` is a
        # repository of the default registry, `acme.io/server` is not.
        is_registry = "." in first or ":" in first or first == "localhost"
        return self.repository if is_registry else f"{_DEFAULT_REGISTRY}/{self.repository}"


def parse_image(reference: str) -> Image:
    """Splits a reference such as `nvcr.io/nvidia/x:25@sha256:ab` into its parts."""
    name, _, digest = reference.partition("@")
    folder, slash, last = name.rpartition("/")
    last, _, tag = last.partition(":")
    return Image(f"{folder}{slash}{last}", tag, digest)
