"""Fixtures of the engines: projects on a cluster in memory, and on the real one of the run."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from framework.engines.embedded.engine import EmbeddedEngine
from framework.kube.client import KubeClient
from tests.engines.fakes import RECORDED, FakeCluster, SharedProgram, Stack


@pytest.fixture(scope="session")
def shared_program() -> Iterator[SharedProgram]:
    """The program's process that all tests on a cluster in memory share."""
    shared = SharedProgram()
    yield shared
    shared.end()


@pytest.fixture
def stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shared_program: SharedProgram) -> Stack:
    """A project called test, without a program yet."""
    _set_environment(monkeypatch)
    (tmp_path / "Pulumi.yaml").write_text(
        "name: test\nruntime: python\nstackConfigDir: environments\n"
        "backend: {url: 'file://./.state'}\n"
    )
    cluster = FakeCluster()
    return Stack(tmp_path, EmbeddedEngine(cluster.connect, shared_program.start), cluster)


@pytest.fixture
def live_stack(
    tmp_path: Path,
    kubeconfig: Path,
    unique_name: str,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Stack]:
    """The recorded fixtures' own program on the run's cluster, in a Namespace of its own."""
    _set_environment(monkeypatch)
    program = (RECORDED / "program.py.txt").read_text().replace("ml-fixture", unique_name)
    (tmp_path / "__main__.py").write_text(program)
    (tmp_path / "Pulumi.yaml").write_text(
        "name: fixture\nruntime: python\nbackend: {url: 'file://./.state'}\n"
    )
    shutil.copy(kubeconfig, tmp_path / "kubeconfig")
    engine = EmbeddedEngine()
    yield Stack(tmp_path, engine, FakeCluster(), unique_name)
    with KubeClient.connect(kubeconfig, "local") as kube:
        kube.delete("v1", "Namespace", unique_name)


def _set_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PULUMI_BACKEND_URL", raising=False)
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "fixture")
