"""Deletions report what delays them, can be stopped, and tolerate a server that does not answer."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from framework.core.errors import ClusterError
from framework.kube.client import KubeClient
from framework.kube.objects import ObjectState
from framework.kube.provider import KubernetesProvider
from framework.kube.waiting import WaitStoppedError, wait_gone
from tests.kube.objects import FakeReads, config_map, deployment, urn

Object = dict[str, Any]
URN = urn("sentiment")
HOLD = "example.com/hold"


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("framework.kube.waiting.BLOCKED_S", 0.3)


def set_finalizers(kube: KubeClient, obj: Object, finalizers: list[str]) -> None:
    metadata = obj["metadata"]
    kube.json_patch(
        obj["apiVersion"],
        obj["kind"],
        metadata["name"],
        metadata["namespace"],
        operations=[{"op": "add", "path": "/metadata/finalizers", "value": finalizers}],
        manager="tests",
    )


class Releasing:
    """Keeps the messages, and removes the finalizer of the held object at the first one."""

    def __init__(self, kube: KubeClient, held: Object) -> None:
        self.messages: list[str] = []
        self._kube, self._held = kube, held

    def __call__(self, message: str) -> None:
        if HOLD in message:
            set_finalizers(self._kube, self._held, [])
        self.messages.append(message)


@pytest.mark.cluster
def test_held_deletion_reports_the_finalizer(
    provider: KubernetesProvider, kube: KubeClient, namespace: str
) -> None:
    inputs = config_map(namespace)
    inputs["metadata"]["finalizers"] = [HOLD]
    state = provider.create(URN, inputs)
    releasing = Releasing(kube, inputs)
    provider.delete(state, timeout_s=30, on_blocked=releasing)
    assert releasing.messages == [f"finalizer {HOLD}"]


@pytest.mark.cluster
def test_held_deletion_reports_the_pod(
    provider: KubernetesProvider,
    kube: KubeClient,
    namespace: str,
    roll_out: Callable[[ObjectState], ObjectState],
) -> None:
    state = roll_out(provider.create(URN, deployment(namespace)))
    pods = kube.list_objects("v1", "Pod", namespace)
    held = min(pods, key=lambda pod: str(pod["metadata"]["name"]))
    set_finalizers(kube, held, [HOLD])
    releasing = Releasing(kube, held)
    provider.delete(state, timeout_s=30, on_blocked=releasing)
    name = held["metadata"]["name"]
    # On a slow machine the other Pod is still there as well, and the deletion is reported again.
    text = f"Pod {name} stays in Terminating (finalizer {HOLD})"
    assert any(text in message for message in releasing.messages)
    assert provider.read(state) is None


@pytest.mark.grid
@pytest.mark.cluster
def test_held_deletion_reports_the_conditions_of_a_namespace(
    provider: KubernetesProvider, kube: KubeClient, namespace: str
) -> None:
    name = f"{namespace}-held"
    made = provider.create(
        URN, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
    )
    held = config_map(name)
    held["metadata"]["finalizers"] = [HOLD]
    kube.create(held, manager="tests")
    releasing = Releasing(kube, held)
    provider.delete(made, timeout_s=30, on_blocked=releasing)
    assert any(f"finalizers remaining: {HOLD}" in message for message in releasing.messages)


@pytest.mark.cluster
def test_stop_ends_the_wait_for_a_deletion(
    provider: KubernetesProvider, kube: KubeClient, namespace: str
) -> None:
    inputs = config_map(namespace)
    inputs["metadata"]["finalizers"] = [HOLD]
    state = provider.create(URN, inputs)
    stop = threading.Event()
    timer = threading.Timer(0.5, stop.set)
    timer.start()
    began = time.monotonic()
    with pytest.raises(WaitStoppedError, match=f"ConfigMap {namespace}/settings"):
        provider.delete(state, timeout_s=30, stop=stop)
    assert time.monotonic() - began < 5
    set_finalizers(kube, inputs, [])


# --- without a cluster


AWAY = ClusterError("the API server does not answer")


def going(*finalizers: str, kind: str = "ConfigMap") -> Object:
    found = config_map("n")
    found["metadata"] |= {"uid": "u", "finalizers": list(finalizers)}
    selector = {"matchLabels": {"app": "x"}}
    return {**found, "kind": kind, "spec": {"selector": selector}}


def wait(client: FakeReads, *, seconds: float = 5) -> list[str]:
    messages: list[str] = []
    wait_gone(client, going(), "u", seconds, on_blocked=messages.append)  # type: ignore[arg-type]
    return messages


def test_holders_of_a_deletion_are_reported_when_they_change(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("framework.kube.waiting.BLOCKED_S", 0)
    monkeypatch.setattr("framework.kube.waiting.POLL_FIRST_S", 0.001)
    client = FakeReads(*[going("a")] * 5, *[going("b")] * 5, None)
    assert wait(client) == ["finalizer a", "finalizer b"]


def test_holders_of_a_deletion_are_reported_again_after_a_while(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("framework.kube.waiting.BLOCKED_S", 0)
    monkeypatch.setattr("framework.kube.waiting.BLOCKED_AGAIN_S", 0)
    assert wait(FakeReads(going("a"), going("a"), None)) == ["finalizer a"] * 2


def test_server_that_is_away_for_a_moment_does_not_fail_a_deletion() -> None:
    wait(FakeReads(going("a"), AWAY, AWAY, None))


def test_server_that_stays_away_fails_a_deletion(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("framework.kube.waiting.NO_ANSWER_S", 0.1)
    with pytest.raises(ClusterError, match="does not answer"):
        wait(FakeReads(AWAY))


def test_held_deletion_reports_the_finalizer_where_pods_cannot_be_listed() -> None:
    deployment = going("foregroundDeletion", kind="Deployment")
    with pytest.raises(ClusterError, match="waiting for: finalizer foregroundDeletion"):
        wait(FakeReads(deployment), seconds=0.1)
