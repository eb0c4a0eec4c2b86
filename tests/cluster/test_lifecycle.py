"""Start, repair and stop of the real control plane, in the test's own directory."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from framework.cluster import ClusterStatus
from framework.cluster.control_plane import COMPONENTS
from framework.cluster.local import LocalCluster
from framework.core.errors import LocalClusterError
from tests.builds.conftest import Progress

pytestmark = pytest.mark.cluster

ROOT = Path(__file__).parents[2]


@pytest.fixture
def cluster(tmp_path: Path, local_cluster: LocalCluster) -> Iterator[LocalCluster]:
    """A stopped cluster; `local_cluster` has built the binaries or skipped the test."""
    cluster = LocalCluster(ROOT, directory=tmp_path / ".cluster")
    yield cluster
    cluster.down()


def pids(status: ClusterStatus) -> dict[str, int | None]:
    return {component.name: component.pid for component in status.components}


def is_alive(pid: int | None) -> bool:
    return pid is not None and psutil.pid_exists(pid) and psutil.Process(pid).status() != "zombie"


def test_cluster_starts_is_repaired_and_stops(cluster: LocalCluster, progress: Progress) -> None:
    assert not cluster.exists
    assert not cluster.status().running
    assert not cluster.down()

    first = cluster.up(progress)
    assert first.running
    assert first.nodes_ready == first.nodes == 8
    assert progress.finished("start") == [c.name for c in COMPONENTS if c.health]
    assert progress.finished("ready") == ["cluster"]

    started = time.monotonic()
    again = Progress()
    assert pids(cluster.up(again)) == pids(first)
    assert again == []
    # A loose limit: other tests use the processors at the same time.
    assert time.monotonic() - started < 2

    killed = pids(first)["kube-scheduler"]
    assert killed is not None
    os.kill(killed, signal.SIGKILL)
    while pids(cluster.status())["kube-scheduler"]:
        time.sleep(0.01)
    repaired = pids(cluster.up(again))
    assert again.finished("ready") == ["cluster"]
    assert {name for name, pid in repaired.items() if pid != pids(first)[name]} == {
        "kube-scheduler"
    }

    assert cluster.down()
    assert not any(is_alive(pid) for pid in repaired.values())
    assert not cluster.down()
    assert cluster.exists


@pytest.mark.grid
def test_cluster_starts_over_stale_pid_files_with_the_same_address(
    cluster: LocalCluster, tmp_path: Path
) -> None:
    first = cluster.up(Progress())
    ports = (tmp_path / ".cluster" / "ports.json").read_bytes()
    kubeconfig = cluster.kubeconfig.read_bytes()
    assert cluster.down()
    # As after a reboot: the pids belong to other processes, here to this one.
    for component in COMPONENTS:
        record = {"pid": os.getpid(), "started": "an earlier boot/1", "fingerprint": ""}
        (tmp_path / ".cluster" / "run" / f"{component.name}.pid").write_text(json.dumps(record))
    second = cluster.up(Progress())
    assert second.server == first.server
    assert second.nodes_ready == 8
    assert (tmp_path / ".cluster" / "ports.json").read_bytes() == ports
    assert cluster.kubeconfig.read_bytes() == kubeconfig


def test_error_names_a_component_that_cannot_start_and_its_log(
    cluster: LocalCluster, tmp_path: Path
) -> None:
    (tmp_path / ".cluster" / "etcd").mkdir(parents=True)
    (tmp_path / ".cluster" / "etcd" / "member").write_text("no directory")
    with pytest.raises(LocalClusterError) as caught:
        cluster.up(Progress())
    message = str(caught.value)
    assert "etcd exited before it became ready" in message
    assert f"{tmp_path / '.cluster' / 'logs' / 'etcd.log'} ends with\n  " in message
    assert "not a directory" in message


@pytest.mark.grid
def test_port_in_use_is_an_error(cluster: LocalCluster, tmp_path: Path) -> None:
    cluster.up(Progress())
    port = next(c.ports[0] for c in cluster.status().components if c.name == "kube-apiserver")
    cluster.down()
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(("127.0.0.1", port))
        sock.listen()
        with pytest.raises(LocalClusterError, match=f"127.0.0.1:{port}, used by pid {os.getpid()}"):
            cluster.up(Progress())
    assert str(port) in (tmp_path / ".cluster" / "ports.json").read_text()
