"""An API server that fails in mid-`up`: retried, or shown as the server worded it; nothing is lost.

A proxy injects the faults into the step from one catalog to the next, which creates, updates and
deletes objects.
"""

from __future__ import annotations

import json
import os
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from framework.cluster.local import LocalCluster
from framework.kube.client import KubeClient
from tests.conftest import BOTH_ENGINES, MakeProject, Project
from tests.faults.catalogs import observe, write_catalog
from tests.faults.proxy import Fault, FaultProxy, React, Request, lead_through
from tests.shipped import ROOT

pytestmark = pytest.mark.cluster
EMBEDDED = "embedded"
grid = pytest.mark.grid

BUSY = Fault(429, "too many requests", "TooManyRequests", {"Retry-After": "1"})
STALE = Fault(409, "Operation cannot be fulfilled: the object has been modified", "Conflict")
DENIED = Fault(403, 'admission webhook "guard.example.com" denied the request: no', "Forbidden")
NO_WEBHOOK = Fault(500, 'failed calling webhook "guard.example.com": timeout', "InternalError")
EXPIRED = Fault(401, "Unauthorized", "Unauthorized")


# What an undisturbed step to the catalog `new` leaves, by engine: the same for all tests.
_references: dict[str, str] = {}


class Faulty:
    """A project behind the proxy, deployed with the catalog `old` and changed to `new`."""

    def __init__(self, project: Project, kube: KubeClient, proxy: FaultProxy) -> None:
        self.project, self._kube, self.proxy = project, kube, proxy
        self.engine = EMBEDDED

    def deploy(self, engine: str) -> None:
        """Deploys the catalog `old` without a fault; the first test of an engine also `new`."""
        self.engine = engine
        for name in ("old",) if engine in _references else ("old", "new", "old"):
            write_catalog(self.project, name)
            self.up(code=0)
            if name == "new":
                _references[engine] = self.observe()
        write_catalog(self.project, "new")

    def observe(self) -> str:
        """Returns what the stack has in the cluster and in the state."""
        found = observe(self._kube, self.project, inputs=self.engine == EMBEDDED)
        text = json.dumps(found, sort_keys=True, indent=1)
        return text.replace(self.project.namespace, "ns").replace(str(self.project.root), "root")

    def up(self, code: int | None = None, react: React = lambda request: None) -> str:
        """Runs `up` with faults, and returns its output; with `code` that must be the exit code."""
        with self.proxy.reacting(react):
            run = self.project.run("up", "dev", "--yes", "--engine", self.engine)
        output = " ".join((run.stdout + run.stderr).split())
        assert code is None or run.returncode == code, output
        return output

    def check(self) -> None:
        """Checks that the cluster and the state are those of an undisturbed run."""
        assert self.observe() == _references[self.engine]
        assert "Nothing to do" in self.up(code=0)


@pytest.fixture
def faulty(
    make_quick_project: MakeProject, kube: KubeClient, local_cluster: LocalCluster
) -> Iterator[Faulty]:
    project = make_quick_project("churn")
    proxy = FaultProxy(local_cluster.kubeconfig)
    lead_through(project, proxy)
    yield Faulty(project, kube, proxy)
    proxy.stop()


def on_writes(fault: Fault, times: int, fits: Callable[[Request], bool] = bool) -> React:
    """Reacts with the fault to the first writes that fit."""
    lock, left = threading.Lock(), [times]

    def react(request: Request) -> Fault | None:
        with lock:
            if not request.is_write or not left[0] or not fits(request):
                return None
            left[0] -= 1
            return fault

    return react


def is_deployment(request: Request) -> bool:
    return "/deployments/" in request.path or request.path.endswith("/deployments")


def restarting(proxy: FaultProxy, seconds: float) -> React:
    """Stops the server at the third write, for some seconds."""

    def restart() -> None:
        proxy.stop()
        time.sleep(seconds)
        proxy.start()

    return at_third_write(proxy, restart)


def at_third_write(proxy: FaultProxy, action: Callable[[], object]) -> React:
    """Starts the action in a thread, and cuts the connection after the server's answer."""
    lock, before = threading.Lock(), proxy.writes
    threads: list[threading.Thread] = []

    def react(request: Request) -> Fault | None:
        with lock:
            if request.writes - before < 3 or threads:
                return None
            threads.append(threading.Thread(target=action))
            threads[0].start()
            return Fault(arrives=True)

    return react


def test_transient_faults_are_retried(faulty: Faulty) -> None:
    faulty.deploy(EMBEDDED)
    restart = restarting(faulty.proxy, 3)
    reacts = [on_writes(BUSY, 2), on_writes(STALE, 2), on_writes(Fault(arrives=True), 2), restart]
    faulty.up(0, lambda request: next((f for react in reacts if (f := react(request))), None))
    faulty.check()


@grid
@pytest.mark.parametrize("engine", BOTH_ENGINES)
def test_server_away_for_half_a_minute(faulty: Faulty, engine: str) -> None:
    faulty.deploy(engine)
    output = faulty.up(0 if engine == EMBEDDED else None, restarting(faulty.proxy, 30))
    if engine != EMBEDDED:
        # The provider of pulumi gives up; what it wrote is recorded or pending.
        assert "connection refused" in output or "EOF" in output or "0 failed" in output
        assert faulty.proxy.listening.wait(60)
        faulty.up(code=0)
    faulty.check()


@pytest.fixture
def own_cluster() -> Iterator[LocalCluster]:
    """A cluster that no other test uses, since its API server is killed."""
    with tempfile.TemporaryDirectory(prefix="modelcatalog-") as folder:
        cluster = LocalCluster(ROOT, directory=Path(folder))
        cluster.up(lambda progress: None)
        yield cluster
        cluster.down()


@grid
@pytest.mark.parametrize("engine", BOTH_ENGINES)
def test_api_server_killed_and_started_again(
    make_quick_project: MakeProject, own_cluster: LocalCluster, engine: str
) -> None:
    components = {found.name: found.pid for found in own_cluster.status().components}
    server = components["kube-apiserver"]
    assert server is not None
    restarted = threading.Event()

    def restart() -> None:
        os.kill(server, signal.SIGKILL)
        own_cluster.up(lambda progress: None)
        restarted.set()

    project, proxy = make_quick_project("churn"), FaultProxy(own_cluster.kubeconfig)
    lead_through(project, proxy)
    with KubeClient.connect(own_cluster.kubeconfig, "local") as kube:
        faulty = Faulty(project, kube, proxy)
        faulty.deploy(engine)
        faulty.up(0 if engine == EMBEDDED else None, at_third_write(proxy, restart))
        assert restarted.wait(120)
        faulty.up(code=0)
        faulty.check()
    proxy.stop()


@grid
@pytest.mark.parametrize("engine", BOTH_ENGINES)
def test_busy_server_is_asked_again(faulty: Faulty, engine: str) -> None:
    faulty.deploy(engine)
    faulty.up(0, on_writes(BUSY, 6))
    faulty.check()


@grid
@pytest.mark.parametrize("engine", BOTH_ENGINES)
@pytest.mark.parametrize(
    ("fault", "words"),
    [
        pytest.param(DENIED, 'admission webhook "guard.example.com" denied', id="denied"),
        pytest.param(NO_WEBHOOK, 'failed calling webhook "guard.example.com"', id="no-webhook"),
        pytest.param(EXPIRED, "Unauthorized", id="expired-token"),
        pytest.param(STALE, "the object has been modified", id="conflict"),
    ],
)
def test_refusal_is_shown_in_the_words_of_the_server(
    faulty: Faulty, engine: str, fault: Fault, words: str
) -> None:
    faulty.deploy(engine)
    output = faulty.up(1, on_writes(fault, 10_000, is_deployment))
    assert words in output
    faulty.up(code=0)
    faulty.check()


@grid
@pytest.mark.parametrize("engine", BOTH_ENGINES)
def test_answers_that_are_lost_create_nothing_twice(faulty: Faulty, engine: str) -> None:
    faulty.deploy(engine)
    faulty.up(0 if engine == EMBEDDED else None, on_writes(Fault(arrives=True), 8))
    faulty.up(code=0)
    faulty.check()
