"""Ctrl-C in a rollout that never ends: once saves, twice stops at once; `up` continues both."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from framework.kube.client import KubeClient
from tests.conftest import BOTH_ENGINES, MakeProject, Project
from tests.faults.catalogs import read_latest

pytestmark = pytest.mark.cluster
OTHER = {"embedded": "cli", "cli": "embedded"}
CHURN = "catalog/churn.yaml"


@pytest.fixture
def project(make_quick_project: MakeProject) -> Project:
    """A project whose next rollout does not end within two minutes."""
    project = make_quick_project("churn")
    project.append(CHURN, "rollout: {progressDeadlineSeconds: 120}\n")
    project.succeed("up", "dev")
    project.edit(CHURN, '"1.6.1"', '"missing"')
    return project


def interrupt(
    project: Project, kube: KubeClient, engine: str, signals: list[signal.Signals]
) -> tuple[str, int, float]:
    """Runs `up`, and sends the signals once the new image is in the cluster.

    Returns the output, the exit code, and the seconds from the last signal to the end.
    """
    command = [sys.executable, "-m", "framework", "up", "dev", "--engine", engine]
    with subprocess.Popen(
        command,
        cwd=project.root,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as run:
        wait_for_image(kube, project, run)
        for number in signals:
            # To the whole group, as a terminal does.
            os.killpg(run.pid, number)
            time.sleep(0.05)
        sent = time.monotonic()
        output, _ = run.communicate(timeout=90)
    return " ".join(output.split()), run.returncode, time.monotonic() - sent


def wait_for_image(kube: KubeClient, project: Project, run: subprocess.Popen[str]) -> None:
    namespace = f"{project.namespace}-dev"
    while run.poll() is None:
        live = kube.get("apps/v1", "Deployment", "churn", namespace)
        if live and live["spec"]["template"]["spec"]["containers"][0]["image"].endswith("missing"):
            # Until the write is recorded, and the wait has begun.
            time.sleep(0.5)
            return
        time.sleep(0.05)
    raise AssertionError("up ended before it changed the image")


def list_locks(project: Project) -> list[Path]:
    return list((project.root / ".state").glob("**/locks/**/*.json"))


@pytest.mark.parametrize("engine", BOTH_ENGINES)
@pytest.mark.parametrize(
    "number",
    [
        pytest.param(signal.SIGINT, id="ctrl-c"),
        pytest.param(signal.SIGTERM, id="sigterm", marks=pytest.mark.grid),
    ],
)
def test_first_interrupt_saves_and_says_how_to_continue(
    project: Project, kube: KubeClient, engine: str, number: signal.Signals
) -> None:
    output, code, _ = interrupt(project, kube, engine, [number])
    assert code == 1
    if number == signal.SIGINT:
        assert "Press Ctrl-C again to stop at once" in output
    assert "`make up ENV=dev` continues" in output
    assert "pending_operations" not in read_latest(project)
    assert not list_locks(project)
    continue_with(project, engine)


@pytest.mark.parametrize("engine", BOTH_ENGINES)
def test_second_interrupt_stops_at_once(project: Project, kube: KubeClient, engine: str) -> None:
    output, code, seconds = interrupt(project, kube, engine, [signal.SIGINT, signal.SIGINT])
    assert code == 1
    assert "`make up ENV=dev` continues" in output
    # The rollout itself would be waited for much longer.
    assert seconds < 40
    continue_with(project, OTHER[engine] if engine == "cli" else engine)


@pytest.mark.grid
@pytest.mark.pulumi_cli
def test_sigterm_ends_a_preview_and_its_pulumi(make_quick_project: MakeProject) -> None:
    project = make_quick_project("churn")
    command = [sys.executable, "-m", "framework", "preview", "dev", "--engine", "cli"]
    with subprocess.Popen(
        command, cwd=project.root, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as run:
        pulumi: list[psutil.Process] = []
        while not pulumi:
            assert run.poll() is None
            for child in psutil.Process(run.pid).children(recursive=True):
                with contextlib.suppress(psutil.Error):
                    pulumi += [child] if "preview" in child.cmdline() else []
            time.sleep(0.05)
        run.terminate()
        output, _ = run.communicate(timeout=60)
    assert run.returncode == 1, output
    assert "Traceback" not in output
    assert not any(child.is_running() for child in pulumi)


def continue_with(project: Project, engine: str) -> None:
    """Finishes with the correct image; then nothing is left to do."""
    project.edit(CHURN, '"missing"', '"1.7.0"')
    project.succeed("up", "dev", "--engine", engine)
    preview = project.succeed("preview", "dev", "--json", "--engine", engine)
    assert json.loads(preview)["clean"]
