"""References of images, and the registry that each comes from."""

from __future__ import annotations

import pytest

from framework.core.images import parse_image


@pytest.mark.parametrize(
    ("reference", "repository", "tag", "digest"),
    [
        ("nginx", "docker.io/library/nginx", "", ""),
        ("seldonio/mlserver:1.6", "docker.io/seldonio/mlserver", "1.6", ""),
        ("localhost:5000/a/b", "localhost:5000/a/b", "", ""),
        ("nvcr.io/nvidia/x:25@sha256:ab", "nvcr.io/nvidia/x", "25", "sha256:ab"),
    ],
)
def test_an_image_is_parsed_as_container_runtimes_do(
    reference: str, repository: str, tag: str, digest: str
) -> None:
    image = parse_image(reference)
    assert (image.full_repository, image.tag, image.digest) == (repository, tag, digest)
