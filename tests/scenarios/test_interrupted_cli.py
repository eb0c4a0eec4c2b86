"""The CLI engine after an `up` that was killed: its previews, and a state that only it reads."""

from __future__ import annotations

import gzip
import re

import pytest

from framework.kube.client import KubeClient
from tests.conftest import MakeProject
from tests.scenarios.test_interrupted import forget, list_names

pytestmark = [pytest.mark.cluster, pytest.mark.pulumi_cli, pytest.mark.grid]


@pytest.mark.parametrize("kind", ["apps/v1:Deployment", "core/v1:Service"])
def test_plan_of_a_preview_after_a_kill_is_applied(
    make_quick_project: MakeProject, kube: KubeClient, kind: str
) -> None:
    """`up` first records what the killed command has created, and the preview counts it already."""
    project = make_quick_project("churn", "fraud")
    cli = ("--engine", "cli")
    project.succeed("up", "dev", *cli)
    (project.root / "catalog/fraud.yaml").unlink()
    project.edit("catalog/churn.yaml", "1.6.1", "1.7.0")
    forget(project, f"kubernetes:{kind}", "::churn")
    previewed = project.succeed("preview", "dev", "--plan", "plan.json", *cli)
    assert "churn was created and not recorded" in " ".join(previewed.split())
    assert "taken over" not in previewed
    embedded = project.succeed("preview", "dev", "--engine", "embedded")
    assert read_changes(previewed) == read_changes(embedded)
    project.succeed("up", "dev", "--plan", "plan.json", *cli)
    assert "Nothing to do" in project.succeed("up", "dev", *cli)
    assert not any("fraud" in name for name in list_names(kube, f"{project.namespace}-dev"))


def read_changes(shown: str) -> list[str]:
    """Returns the lines of a preview that show changes."""
    return [line.rstrip() for line in shown.splitlines() if re.match(r"  [-+~±] ", line)]


def test_compressed_state_of_a_killed_up_loses_no_object(
    make_quick_project: MakeProject, kube: KubeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the CLI reads such a state, also in a folder."""
    monkeypatch.setenv("PULUMI_DIY_BACKEND_GZIP", "true")
    project = make_quick_project("churn", "fraud")
    cli = ("--engine", "cli")
    project.succeed("up", "dev", *cli)
    state = project.root / ".state/.pulumi/stacks/modelcatalog/dev.json"
    compressed = state.with_name("dev.json.gz")
    state.write_bytes(gzip.decompress(compressed.read_bytes()))
    forget(project, "kubernetes:core/v1:Service", "::fraud")
    compressed.write_bytes(gzip.compress(state.read_bytes()))
    state.unlink()
    (project.root / "catalog/fraud.yaml").unlink()
    shown = project.succeed("up", "dev", "--yes", *cli)
    assert "Service fraud was created and not recorded" in " ".join(shown.split())
    assert not any("fraud" in name for name in list_names(kube, f"{project.namespace}-dev"))
    project.succeed("refresh", "dev", "--yes", *cli)
