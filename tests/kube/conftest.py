"""Fixtures of the tests of `framework/kube`: a client, and a Namespace for each test."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from framework.kinds.registry import RULES
from framework.kube.client import KubeClient
from framework.kube.objects import ObjectState
from framework.kube.provider import KubernetesProvider

Object = dict[str, Any]


@pytest.fixture(scope="session")
def kube(kubeconfig: Path) -> Iterator[KubeClient]:
    """A client of the run's cluster."""
    with KubeClient.connect(kubeconfig, "local") as client:
        yield client


@pytest.fixture
def namespace(kube: KubeClient, unique_name: str) -> Iterator[str]:
    """A new Namespace named after the test. Its deletion is requested and not waited for."""
    made = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": unique_name}}
    kube.create(made, manager="tests")
    yield unique_name
    kube.delete("v1", "Namespace", unique_name, propagation="Background")


@pytest.fixture
def provider(kube: KubeClient) -> KubernetesProvider:
    """A provider as one operation makes it."""
    return KubernetesProvider(kube, rules=RULES)


@pytest.fixture
def roll_out(provider: KubernetesProvider) -> Callable[[ObjectState], ObjectState]:
    """Waits at most half a minute for a Deployment."""

    def wait(state: ObjectState) -> ObjectState:
        return provider.wait(
            state, timeout_s=30, on_counts=lambda counts: None, stop=threading.Event()
        )

    return wait


@pytest.fixture
def kubectl(kube: KubeClient) -> Callable[..., None]:
    """Writes as kubectl's verbs do: an Update by a manager of that name."""

    def write(verb: str, obj: dict[str, Any], changed: dict[str, Any]) -> None:
        name, space = obj["metadata"]["name"], obj["metadata"]["namespace"]
        live = kube.get(obj["apiVersion"], obj["kind"], name, space)
        assert live is not None
        edited = {**live, **changed}
        edited["metadata"].pop("resourceVersion")
        kube.replace(edited, manager=f"kubectl-{verb}")

    return write


@pytest.fixture(scope="session")
def fixtures() -> Path:
    """Runs of the real CLI, recorded."""
    return Path(__file__).parents[1] / "engines" / "recorded"
