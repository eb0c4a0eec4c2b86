"""The embedded engine on a real API server, with the program of the recorded fixtures."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from framework.drift import FindingKind
from framework.engines.state.checkpoint import parse_checkpoint
from framework.kube.client import KubeClient
from tests.engines.fakes import RECORDED, Stack, ops

pytestmark = pytest.mark.cluster
ROOT = Path(__file__).parents[2]
UP = """
import sys
from pathlib import Path
from functools import partial
from framework.core.stack import Stack
from framework.engines.base import Request
from framework.engines.clusters import connect_kubernetes
from framework.engines.embedded.engine import EmbeddedEngine
from framework.kinds.registry import RULES
engine = EmbeddedEngine()
request = Request(Path(sys.argv[1]), Stack.of("dev"))
engine.up(request, lambda _: True, lambda event: print(event.state, event.change.kind, flush=True))
"""
DEPLOYMENT = "Deployment sentiment"


def _kube(stack: Stack) -> KubeClient:
    return KubeClient.connect(stack.root / "kubeconfig", "local")


def test_stack_is_created_updated_and_destroyed(live_stack: Stack) -> None:
    assert set(ops(live_stack.up()).values()) == {"create"}
    assert live_stack.preview().clean
    live_stack.config(tag="v2")
    assert ops(live_stack.up()) == {DEPLOYMENT: "update"}
    assert any(progress.state == "rolling" for progress in live_stack.progress)
    assert live_stack.drift().clean
    live_stack.destroy()
    with _kube(live_stack) as kube:
        assert kube.get("v1", "Namespace", live_stack.namespace) is None


def test_recorded_resources_have_the_fields_of_the_clis(live_stack: Stack) -> None:
    live_stack.config(secret="true", token="t")
    live_stack.up()
    recorded = parse_checkpoint((RECORDED / "8-recovered/checkpoint.json").read_text(), "x")
    ours = {resource["type"]: resource for resource in live_stack.resources}
    for resource in recorded.resources:
        made = ours[resource.type]
        assert made.keys() == resource.raw.keys()
        assert made.get("inputs", {}).keys() == resource.raw.get("inputs", {}).keys()
        assert made["outputs"].keys() >= resource.raw["outputs"].keys() - {"token"}


@pytest.mark.grid
def test_drift_has_the_manager_and_up_reverts_it(live_stack: Stack) -> None:
    live_stack.up()
    scaled = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "sentiment", "namespace": live_stack.namespace},
        "spec": {"replicas": 5},
    }
    with _kube(live_stack) as kube:
        kube.apply(scaled, manager="kubectl-scale", force=True, dry_run=False)
    (finding,) = live_stack.drift().findings
    assert (finding.path, finding.desired, finding.live) == ("spec.replicas", 2, 5)
    assert finding.manager == "kubectl-scale"
    assert ops(live_stack.up()) == {DEPLOYMENT: "update"}
    assert live_stack.preview().clean
    assert live_stack.drift().clean


@pytest.mark.grid
def test_failed_rollout_succeeds_after_a_fix(live_stack: Stack) -> None:
    program = live_stack.root / "__main__.py"
    program.write_text(program.read_text().replace('"20"', '"4"'))
    live_stack.up()
    live_stack.config(tag="v2", broken="true")
    (failure,) = live_stack.up().failures
    assert failure.rollout
    live_stack.config(tag="v2")
    assert not live_stack.up().failures
    assert live_stack.preview().clean


@pytest.mark.grid
def test_object_deleted_by_others_is_created_again(live_stack: Stack) -> None:
    live_stack.up()
    with _kube(live_stack) as kube:
        kube.delete("v1", "Service", "sentiment", live_stack.namespace, propagation="Background")
    (finding,) = live_stack.drift().findings
    assert (finding.kind, finding.object_kind) == (FindingKind.MISSING, "Service")
    assert ops(live_stack.up()) == {"Service sentiment": "create"}
    assert live_stack.preview().clean


@pytest.mark.grid
def test_killed_up_is_finished_by_the_next_one(live_stack: Stack) -> None:
    live_stack.config(broken="true")
    command = [sys.executable, "-c", UP, str(live_stack.root)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as up:
        assert up.stdout is not None
        assert "rolling Deployment\n" in iter(up.stdout.readline, "")
        up.kill()
    live_stack.config(broken="false")
    assert ops(live_stack.up())[DEPLOYMENT] == "update"
    assert live_stack.preview().clean
