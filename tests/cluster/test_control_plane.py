"""Command lines, configuration files and nodes of the local cluster."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from framework.cluster.api import build_nodes, is_current, is_schedulable, is_simulated
from framework.cluster.control_plane import COMPONENTS, STAGES, ControlPlane
from framework.cluster.layout import PORT_NAMES, Layout
from framework.cluster.pki import ensure_pki

NAMES = [component.name for component in COMPONENTS]


@pytest.fixture
def plane(tmp_path: Path) -> ControlPlane:
    layout = Layout(tmp_path)
    ensure_pki(layout.pki)
    return ControlPlane(layout, dict(zip(PORT_NAMES, range(20001, 20006), strict=True)), tmp_path)


@pytest.mark.parametrize("name", NAMES)
def test_component_listens_on_loopback_only(plane: ControlPlane, name: str) -> None:
    command = plane.launch(name).command
    assert not any("0.0.0.0" in flag for flag in command)
    if name != "kwok":
        assert any("127.0.0.1" in flag for flag in command)


def test_kwok_does_not_listen() -> None:
    options = yaml.safe_load((STAGES / "kwok.yaml").read_text())["options"]
    assert options["nodePort"] == 0
    assert "serverAddress" not in options


@pytest.mark.parametrize("name", NAMES)
def test_launch_is_deterministic(plane: ControlPlane, name: str) -> None:
    assert plane.launch(name).fingerprint == plane.launch(name).fingerprint


def test_changed_ports_change_every_fingerprint(plane: ControlPlane) -> None:
    moved = ControlPlane(plane.layout, {**plane.ports, "apiserver": 1, "etcd": 2}, plane.binaries)
    assert all(plane.launch(n).fingerprint != moved.launch(n).fingerprint for n in NAMES)


def test_kwok_configuration_contains_every_stage(plane: ControlPlane) -> None:
    (text,) = [t for path, t in plane.launch("kwok").files.items() if path.name == "kwok.yaml"]
    names = {
        document["metadata"]["name"]
        for document in yaml.safe_load_all(text)
        if document["kind"] == "Stage"
    }
    assert names == {
        "node-ready",
        "node-heartbeat",
        "pod-ready",
        "pod-complete",
        "pod-delete",
        "pod-delete-again",
        "pod-image-missing",
    }


def test_nodes_have_capacity_for_a_thousand_models() -> None:
    pods = sum(int(node["status"]["allocatable"]["pods"]) for node in build_nodes())
    gpus = sum(int(n["status"]["allocatable"].get("nvidia.com/gpu", 0)) for n in build_nodes())
    assert pods >= 10_000
    assert gpus == 32


def test_nodes_are_in_three_zones_and_marked_as_simulated() -> None:
    labels = [node["metadata"]["labels"] for node in build_nodes()]
    assert len({label["topology.kubernetes.io/zone"] for label in labels}) == 3
    assert all(map(is_simulated, build_nodes()))
    assert not is_simulated({"metadata": {"name": "mine"}})


def test_gpu_nodes_have_the_taint_of_real_ones() -> None:
    gpu = [n for n in build_nodes() if "nvidia.com/gpu" in n["status"]["capacity"]]
    assert [n["spec"]["taints"][0]["key"] for n in gpu] == ["nvidia.com/gpu"] * 2


def test_node_of_another_template_is_outdated() -> None:
    cpu, *_, gpu = build_nodes()
    assert is_current(cpu, cpu)
    assert not is_current(cpu, gpu)
    assert not is_current({"metadata": {"name": "cpu-1"}}, cpu)


@pytest.mark.parametrize(
    ("status", "taint", "expected"),
    [
        ("True", None, True),
        ("True", "nvidia.com/gpu", True),
        ("True", "node.kubernetes.io/unschedulable", True),
        ("True", "node.kubernetes.io/not-ready", False),
        ("Unknown", None, False),
    ],
)
def test_node_is_schedulable_if_ready_and_without_not_ready_taint(
    status: str, taint: str | None, expected: bool
) -> None:
    conditions = [{"type": "Ready", "status": status}]
    spec = {"taints": [{"key": taint}]} if taint else {}
    assert is_schedulable({"status": {"conditions": conditions}, "spec": spec}) is expected


def test_importing_the_package_is_cheap() -> None:
    heavy = "{'cryptography', 'trustme', 'psutil', 'http.client', 'yaml', 'filelock'}"
    program = f"import sys, framework.cluster; sys.exit(bool({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0
