"""What every folder of tests shares: one local cluster a run, and projects to run verbs in.

The cluster belongs to the run, not to the checkout: started under a file lock by the first test
that needs it, stopped when the run ends, so that no test meets what a user has deployed.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from framework.cluster.local import LocalCluster
from framework.core.errors import LocalClusterError
from framework.engines import missing_cli
from tests.shipped import ROOT, copy_shipped

_CLUSTER_VARIABLE = "MODELCATALOG_TEST_CLUSTER"
_PARTS = ("catalog", "environments", "framework", "tools", "Pulumi.yaml", "__main__.py")


def pytest_configure(config: pytest.Config) -> None:
    """The run's own process makes the folder; xdist's workers inherit its name."""
    if _CLUSTER_VARIABLE not in os.environ:
        os.environ[_CLUSTER_VARIABLE] = tempfile.mkdtemp(prefix="modelcatalog-")


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stops the cluster when the run ends, in the process that outlives the workers."""
    directory = os.environ.get(_CLUSTER_VARIABLE)
    if hasattr(config, "workerinput") or not directory:
        return
    LocalCluster(ROOT, directory=Path(directory)).down()
    shutil.rmtree(directory)
    del os.environ[_CLUSTER_VARIABLE]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skips, for all to see, what needs the real CLI where there is none."""
    reason = missing_cli()
    if not reason:
        return
    for item in items:
        if item.get_closest_marker("pulumi_cli"):
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def local_cluster() -> LocalCluster:
    """The run's cluster, started; where it cannot be: a failure in CI, else a visible skip."""
    cluster = LocalCluster(ROOT, directory=Path(os.environ[_CLUSTER_VARIABLE]))
    try:
        cluster.up(lambda progress: None)
    except LocalClusterError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))
    return cluster


@pytest.fixture(scope="session")
def kubeconfig(local_cluster: LocalCluster) -> Path:
    """The kubeconfig of the run's cluster; its context is `local`."""
    return local_cluster.kubeconfig


def unique_name(request: pytest.FixtureRequest) -> str:
    """A Namespace name made from the test's own: a label, at most 63 characters."""
    name = re.sub(r"[^a-z0-9]+", "-", request.node.name.lower()).strip("-")
    worker = os.environ.get("PYTEST_XDIST_WORKER", "gw")
    return f"{name[:50].strip('-')}-{worker}"


class Project:
    """A copy of this project in a folder of its own, with its verbs.

    Each environment's Namespace begins with `namespace`, which carries the test's name.
    """

    def __init__(self, root: Path, namespace: str) -> None:
        self.root, self.namespace = root, namespace

    def run(self, *arguments: str, **changed: str) -> subprocess.CompletedProcess[str]:
        """`python -m framework ...` in the copy; ended after two minutes."""
        environment = {k: v for k, v in os.environ.items() if not k.startswith("COV_")}
        return subprocess.run(
            [sys.executable, "-m", "framework", *arguments],
            cwd=self.root,
            env=environment | changed,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=120,
            check=False,
        )

    def succeed(self, *arguments: str, **changed: str) -> str:
        """Runs a verb as `run`, and fails unless it exits with 0. Returns its output."""
        run = self.run(*arguments, **changed)
        assert run.returncode == 0, run.stdout + run.stderr
        return run.stdout

    def edit(self, path: str, old: str, new: str) -> None:
        """Replaces text in one file; fails where the text does not stand."""
        file = self.root / path
        text = file.read_text()
        assert old in text, f"{path} does not say {old!r}"
        file.write_text(text.replace(old, new))

    def append(self, path: str, text: str) -> None:
        """Adds text to the end of a file, which need not exist."""
        file = self.root / path
        before = file.read_text() if file.exists() else ""
        self.write(path, before + text)

    def write(self, path: str, text: str) -> None:
        """Writes one file."""
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)


MakeProject = Callable[..., Project]


@pytest.fixture
def make_project(tmp_path: Path, request: pytest.FixtureRequest) -> MakeProject:
    """Makes a project of the given models, without a cluster."""

    def make(*models: str) -> Project:
        root = tmp_path / "project"
        copy_shipped(root, *_PARTS)
        (root / ".state").mkdir()
        _keep_models(root, models)
        namespace = unique_name(request)
        for environment in (root / "environments").glob("*/environment.yaml"):
            text = re.sub(
                r"(?m)^namespace: ml-", f"namespace: {namespace}-", environment.read_text()
            )
            environment.write_text(text)
        return Project(root, namespace)

    return make


def _keep_models(root: Path, models: tuple[str, ...]) -> None:
    files = [*root.glob("catalog/[!_]*.yaml"), *root.glob("environments/*/models/*.yaml")]
    for file in files:
        if models and file.stem not in models:
            file.unlink()


@pytest.fixture
def make_live_project(
    make_project: MakeProject, local_cluster: LocalCluster
) -> Iterator[MakeProject]:
    """Makes a project whose environments run on the run's cluster; destroyed afterwards."""
    made: list[Project] = []

    def make(*models: str) -> Project:
        project = make_project(*models)
        (project.root / ".cluster").symlink_to(local_cluster.kubeconfig.parent)
        made.append(project)
        return project

    yield make
    from framework.kube.client import KubeClient

    kube = KubeClient.connect(local_cluster.kubeconfig, "local")
    for project in made:
        for environment in ("dev", "staging", "prod"):
            kube.delete("v1", "Namespace", f"{project.namespace}-{environment}")
    kube.close()
