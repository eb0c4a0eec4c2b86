"""The API server accepts the objects of every kind without unknown fields."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from framework.kube.client import KubeClient
from tools.write_golden import render_kinds

pytestmark = pytest.mark.cluster


def test_server_accepts_the_golden_objects_of_every_kind(kubeconfig: Path) -> None:
    with KubeClient.connect(kubeconfig, "local") as kube:
        for text in render_kinds().values():
            for manifest in yaml.safe_load_all(text):
                manifest["metadata"]["namespace"] = "default"
                kept = kube.create(manifest, manager="tests", dry_run=True)
                if manifest["kind"] == "Deployment":
                    # A server without dynamic resource allocation would drop the field.
                    assert kept["spec"]["template"]["spec"]["resourceClaims"]
