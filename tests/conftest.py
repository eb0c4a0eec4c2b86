"""Fixtures for all tests: one local cluster per test run, and projects to run verbs in.

The cluster is not the one of the checkout, so that no test sees what a user has deployed. The first
test that needs it starts it, under a file lock; it is stopped when the run ends.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from framework.cluster.local import LocalCluster
from framework.core.errors import BuildError, LocalClusterError
from framework.engines.pulumi_cli import MissingCli, find_pulumi
from tests.shipped import ROOT, SHIPPED, copy_shipped
from tests.verb_server import needs_new_python, run_verb

_CLUSTER_VARIABLE = "MODELCATALOG_TEST_CLUSTER"
# The cases of a test that runs with either engine. Those of the CLI take several times as long.
BOTH_ENGINES = ["embedded", pytest.param("cli", marks=[pytest.mark.pulumi_cli, pytest.mark.grid])]
_PARTS = ("catalog", "environments", "tools", "Pulumi.yaml", "__main__.py")


# A slow machine is no fault of the code. Tests are quick by their number of examples.
for _name, _examples in (("sample", 30), ("full", 400)):
    settings.register_profile(
        _name,
        max_examples=_examples,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
    )


def pytest_configure(config: pytest.Config) -> None:
    """Creates the cluster's folder; the workers of xdist inherit its name."""
    # The processes that the tests start write the bytecode of the package for the next ones.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    if not config.getoption("hypothesis_profile"):
        settings.load_profile("sample")
    # `timeout` and CI end a run with SIGTERM. Python would end at once and leave the cluster.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if _CLUSTER_VARIABLE not in os.environ:
        os.environ[_CLUSTER_VARIABLE] = tempfile.mkdtemp(prefix="modelcatalog-")


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stops the cluster in the main process, when all workers have ended."""
    directory = os.environ.get(_CLUSTER_VARIABLE)
    if hasattr(config, "workerinput") or not directory:
        return
    LocalCluster(ROOT, directory=Path(directory)).down()
    shutil.rmtree(directory)
    del os.environ[_CLUSTER_VARIABLE]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skips tests that need the Pulumi CLI if it is not installed; the reason is shown."""
    needing = [item for item in items if item.get_closest_marker("pulumi_cli")]
    cli = find_pulumi(ROOT) if needing else None
    if isinstance(cli, MissingCli):
        for item in needing:
            item.add_marker(pytest.mark.skip(reason=cli.reason))


@pytest.fixture(scope="session")
def local_cluster() -> LocalCluster:
    """The cluster of this test run. If it cannot start, tests fail in CI, elsewhere they skip."""
    cluster = LocalCluster(ROOT, directory=Path(os.environ[_CLUSTER_VARIABLE]))
    try:
        cluster.up(lambda progress: None)
    except (BuildError, LocalClusterError) as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))
    return cluster


@pytest.fixture(scope="session")
def kubeconfig(local_cluster: LocalCluster) -> Path:
    """The kubeconfig of the cluster of this test run; its context is `local`."""
    return local_cluster.kubeconfig


@pytest.fixture
def unique_name(request: pytest.FixtureRequest) -> str:
    """A name for Namespaces, from the name of the test, at most 55 characters long.

    The digest keeps long names of parametrised tests apart, which differ only at their end.
    """
    name = re.sub(r"[^a-z0-9]+", "-", request.node.name.lower()).strip("-")
    digest = hashlib.sha256(name.encode()).hexdigest()[:6]
    worker = os.environ.get("PYTEST_XDIST_WORKER", "gw")
    return f"{name[:40].strip('-')}-{digest}-{worker}"


class Project:
    """A copy of this project in a temporary folder.

    The Namespaces of its environments begin with `namespace`, which contains the test's name.
    """

    def __init__(self, root: Path, namespace: str) -> None:
        self.root, self.namespace = root, namespace

    def run(self, *arguments: str, **changed: str) -> subprocess.CompletedProcess[str]:
        """Runs `python -m framework ...` in the copy, for at most five minutes.

        The CLI waits more than a minute for Pods that fail, and a machine may be busy.
        """
        environment = {k: v for k, v in os.environ.items() if not k.startswith("COV_")}
        if not needs_new_python(changed):
            return run_verb(arguments, self.root, environment | changed, 300)
        return subprocess.run(
            [sys.executable, "-m", "framework", *arguments],
            cwd=self.root,
            env=environment | changed,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=300,
            check=False,
        )

    def succeed(self, *arguments: str, **changed: str) -> str:
        """Runs a verb as `run`, and fails unless it exits with 0. Returns its output."""
        run = self.run(*arguments, **changed)
        assert run.returncode == 0, run.stdout + run.stderr
        return run.stdout

    def edit(self, path: str, old: str, new: str) -> None:
        """Replaces text in a file; fails if the file does not contain it."""
        file = self.root / path
        text = file.read_text()
        assert old in text, f"{path} does not contain {old!r}"
        file.write_text(text.replace(old, new))

    def append(self, path: str, text: str) -> None:
        """Adds text to the end of a file; creates the file if it does not exist."""
        file = self.root / path
        before = file.read_text() if file.exists() else ""
        self.write(path, before + text)

    def write(self, path: str, text: str) -> None:
        """Writes a file and creates its folder."""
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)


MakeProject = Callable[..., Project]


@pytest.fixture
def make_project(tmp_path: Path, unique_name: str) -> MakeProject:
    """Creates projects with the given models (all models by default), without a cluster."""

    def make(*models: str) -> Project:
        root = tmp_path / "project"
        copy_shipped(root, *_PARTS)
        # A link to one copy for all tests, because each copy would be compiled again.
        (root / "framework").symlink_to(SHIPPED / "framework")
        (root / ".state").mkdir()
        _keep_models(root, models)
        for environment in (root / "environments").glob("*/environment.yaml"):
            text = re.sub(
                r"(?m)^namespace: ml-", f"namespace: {unique_name}-", environment.read_text()
            )
            environment.write_text(text)
        return Project(root, unique_name)

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
    """Creates projects on the cluster of this test run; deletes their Namespaces afterwards."""
    projects: list[Project] = []

    def make(*models: str) -> Project:
        project = make_project(*models)
        (project.root / ".cluster").symlink_to(local_cluster.kubeconfig.parent)
        projects.append(project)
        return project

    yield make
    from framework.kube.client import KubeClient

    kube = KubeClient.connect(local_cluster.kubeconfig, "local")
    for project in projects:
        for environment in ("dev", "staging", "prod"):
            kube.delete("v1", "Namespace", f"{project.namespace}-{environment}")
    kube.close()
