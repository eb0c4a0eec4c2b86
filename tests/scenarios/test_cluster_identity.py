"""A stack stays on its own cluster, whatever kubeconfig and context its environment names."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from framework.cluster.local import LocalCluster
from framework.kube.client import KubeClient
from tests.conftest import MakeProject, Project
from tests.shipped import ROOT

pytestmark = pytest.mark.cluster
ENVIRONMENT = "environments/dev/environment.yaml"


@pytest.fixture
def other_cluster(tmp_path: Path, local_cluster: LocalCluster) -> Iterator[LocalCluster]:
    cluster = LocalCluster(ROOT, directory=tmp_path / "other" / ".cluster")
    cluster.up(lambda progress: None)
    yield cluster
    cluster.down()


def write_kubeconfig(project: Project, file: str, source: Path, context: str = "shared") -> None:
    project.write(file, source.read_text().replace('"local"', f'"{context}"'))


def name_cluster(project: Project, kubeconfig: str, context: str = "shared") -> None:
    path = project.root / ENVIRONMENT
    lines = path.read_text().splitlines()
    start = lines.index("cluster:")
    lines[start + 1] = f"  context: {context}"
    lines = [line for line in lines if not line.startswith("  kubeconfig:")]
    lines.insert(start + 2, f"  kubeconfig: {kubeconfig}")
    path.write_text("\n".join(lines) + "\n")


def test_another_server_behind_the_same_context_name_is_refused(
    make_quick_project: MakeProject, kubeconfig: Path, other_cluster: LocalCluster
) -> None:
    project = make_quick_project("churn")
    write_kubeconfig(project, "a.kubeconfig", kubeconfig)
    write_kubeconfig(project, "b.kubeconfig", other_cluster.kubeconfig)
    write_kubeconfig(project, "c.kubeconfig", kubeconfig, "renamed")
    name_cluster(project, "a.kubeconfig")
    first = project.run("up", "dev")
    assert first.returncode == 0, first.stdout + first.stderr

    name_cluster(project, "b.kubeconfig")
    with KubeClient.connect(kubeconfig, "local") as kube:
        uids = {kube.cluster_uid()}
        for verb in (
            ("up", "--yes", "--model", "churn"),
            ("refresh", "--yes"),
            ("drift",),
            ("status",),
            ("destroy", "--yes"),
        ):
            run = project.run(verb[0], "dev", *verb[1:])
            message = " ".join(run.stderr.split())
            assert run.returncode == 1, (verb, run.stdout + run.stderr)
            assert "names another cluster than the one it is deployed on" in message, (
                verb,
                message,
            )
            assert "kubeconfig a.kubeconfig" in message
            assert "kubeconfig b.kubeconfig" in message
            assert all(uid in message for uid in uids)
            assert kube.get("apps/v1", "Deployment", "churn", f"{project.namespace}-dev")
        with KubeClient.connect(other_cluster.kubeconfig, "local") as other:
            assert other.cluster_uid() not in uids
            assert other.get("v1", "Namespace", f"{project.namespace}-dev") is None

        # Another path and another context name lead to the recorded server: the same cluster.
        (project.root / "a.kubeconfig").unlink()
        name_cluster(project, "c.kubeconfig", "renamed")
        for verb in (("status",), ("up",), ("destroy", "--yes")):
            run = project.run(verb[0], "dev", *verb[1:])
            assert run.returncode == 0, (verb, run.stdout + run.stderr)
        assert kube.get("apps/v1", "Deployment", "churn", f"{project.namespace}-dev") is None


@pytest.mark.grid
@pytest.mark.pulumi_cli
def test_renamed_context_replaces_nothing_with_the_cli(
    make_quick_project: MakeProject, kubeconfig: Path
) -> None:
    project = make_quick_project("churn", "intent")
    write_kubeconfig(project, "a.kubeconfig", kubeconfig)
    write_kubeconfig(project, "b.kubeconfig", kubeconfig, "renamed")
    name_cluster(project, "a.kubeconfig")
    project.succeed("up", "dev", "--engine", "cli")
    name_cluster(project, "b.kubeconfig", "renamed")
    shown = project.succeed("preview", "dev", "--engine", "cli")
    assert "replaces" not in shown
    assert "context  shared -> renamed" in shown
    # A narrowed command updates the provider, too.
    project.succeed("up", "dev", "--model", "churn", "--engine", "cli")
    assert "Nothing to do" in project.succeed("preview", "dev", "--engine", "embedded")
