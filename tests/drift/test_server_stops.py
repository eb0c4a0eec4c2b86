"""A check whose API server stops is never reported as clean, and reports what it has seen."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from framework.cli.drift import run_drift
from framework.core.exit_codes import ExitCode
from framework.kube import connection
from tests.drift.changes import BY_NAME
from tests.drift.deployed_project import DeployedProject
from tests.faults.proxy import Fault, FaultProxy, Request, lead_through

pytestmark = pytest.mark.cluster
# A request waits for this long for a server that has answered before.
_RETRY_FOR_S = 0.5


@pytest.fixture
def proxy(
    deployed: DeployedProject, kubeconfig: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[FaultProxy]:
    """A proxy between the check and the server."""
    monkeypatch.setattr(connection, "RETRY_FOR_S", _RETRY_FOR_S)
    proxy = FaultProxy(kubeconfig)
    environment = deployed.project.root / "environments/dev/environment.yaml"
    text = environment.read_text()
    lead_through(deployed.project, proxy)
    yield proxy
    environment.write_text(text)
    proxy.stop()


def check(deployed: DeployedProject, capsys: pytest.CaptureFixture[str]) -> tuple[ExitCode, str]:
    options = argparse.Namespace(
        environment="dev", engine="embedded", out=None, why=False, json=False, model=None
    )
    capsys.readouterr()
    code = run_drift(deployed.project.root, options)
    return code, " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize("last", ["services", "deployments", "resourcequotas"])
def test_check_whose_server_stops_exits_with_1_and_shows_what_was_read(
    deployed: DeployedProject, proxy: FaultProxy, capsys: pytest.CaptureFixture[str], last: str
) -> None:
    """Every list after the one of `last` gets no answer."""
    BY_NAME["namespace-label"].make(deployed.worlds["a"])
    answered: list[str] = []

    def stop(request: Request) -> Fault | None:
        path = request.path.partition("?")[0]
        is_list = f"/namespaces/{deployed.namespace}/" in path
        if is_list and any(path.endswith(f"/{last}") for path in answered):
            return Fault()
        answered.append(path)
        return None

    started = time.monotonic()
    with proxy.reacting(stop):
        code, shown = check(deployed, capsys)
    assert code is ExitCode.FAILED
    assert "metadata.labels.x added 1" in shown
    assert "NOT CHECKED http://127.0.0.1" in shown
    assert "Not everything could be checked, so this is not clean." in shown
    # Not once for each object: with a thousand models the check would take hours.
    assert time.monotonic() - started < 60
    deployed.up()
    code, shown = check(deployed, capsys)
    assert (code, "No differences." in shown) == (ExitCode.DONE, True)
