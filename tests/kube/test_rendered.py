"""The API server accepts the manifests that the plan renders for every setting, in a dry run."""

from __future__ import annotations

from pathlib import Path

import pytest

from framework.kube.api_error import ApiError
from framework.kube.client import KubeClient
from tests.plan.test_coverage import FIELDS, build_covered


def _refusals(kube: KubeClient, namespace: str, folder: Path, text: str) -> list[str]:
    found = []
    for manifest in build_covered(folder, text).manifests:
        metadata = {**manifest.object["metadata"], "namespace": namespace}
        try:
            kube.apply(
                {**manifest.object, "metadata": metadata}, manager="tests", force=True, dry_run=True
            )
        except ApiError as exc:
            found.append(f"{manifest.kind}: {exc}")
    return found


@pytest.mark.xdist_group("rendered")
def test_server_accepts_every_field_that_settings_can_set(
    kube: KubeClient, namespace: str, tmp_path: Path
) -> None:
    refused = {}
    for number, (field, text, _, _) in enumerate(FIELDS):
        if found := _refusals(kube, namespace, tmp_path / str(number), text):
            refused[field] = found
    assert refused == {}
