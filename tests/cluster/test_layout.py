"""Ports are chosen once and stored; they never change by themselves."""

from __future__ import annotations

import os
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from framework.cluster.layout import PORT_NAMES, ensure_ports, load_ports, require_free
from framework.core.errors import LocalClusterError


@pytest.fixture
def listener() -> Iterator[int]:
    """A port that this process listens on."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen()
        yield sock.getsockname()[1]


def test_chosen_ports_are_distinct_and_below_the_ephemeral_range(tmp_path: Path) -> None:
    ports = ensure_ports(tmp_path / "ports.json")
    assert list(ports) == list(PORT_NAMES)
    assert len(set(ports.values())) == len(PORT_NAMES)
    assert max(ports.values()) < 32000


def test_ports_are_stored(tmp_path: Path) -> None:
    path = tmp_path / "ports.json"
    assert ensure_ports(path) == ensure_ports(path) == load_ports(path)


def test_free_port_is_accepted(tmp_path: Path) -> None:
    ports = ensure_ports(tmp_path / "ports.json")
    require_free("etcd", ports["etcd"], tmp_path / "ports.json")


@pytest.mark.skipif(sys.platform != "linux", reason="macOS shows no listeners to an ordinary user")
def test_error_for_a_port_in_use_names_the_process_and_the_next_step(
    tmp_path: Path, listener: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("framework.cluster.layout._RELEASE_S", 0)
    with pytest.raises(LocalClusterError) as caught:
        require_free("kube-apiserver", listener, tmp_path / "ports.json")
    message = str(caught.value)
    assert f"kube-apiserver cannot listen on 127.0.0.1:{listener}" in message
    assert f"used by pid {os.getpid()} (" in message
    assert f"delete {tmp_path / 'ports.json'}, so that other ports are chosen" in message


def test_port_of_a_process_that_is_ending_is_waited_for(tmp_path: Path) -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen()
        release = threading.Timer(0.2, sock.close)
        release.start()
        require_free("kube-apiserver", sock.getsockname()[1], tmp_path / "ports.json")
        release.join()


@pytest.mark.parametrize("text", ["", "[]", '{"etcd": 1}', '{"apiserver": "x"}'])
def test_damaged_ports_file_is_rejected(tmp_path: Path, text: str) -> None:
    path = tmp_path / "ports.json"
    path.write_text(text)
    with pytest.raises(LocalClusterError, match=r"ports\.json: does not contain the ports"):
        load_ports(path)
